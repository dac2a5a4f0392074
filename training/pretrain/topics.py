"""Everyday topics: the nouns and verbs that the generated sentences are made of.

Sixty words a topic are enough for a small model to place a word among its neighbours; the lists
are plain common English, written for this project.
"""

from typing import NamedTuple


class Topic(NamedTuple):
    """A topic's `nouns` and `verbs`, all in the base form and lower case."""

    nouns: tuple[str, ...]
    verbs: tuple[str, ...]


def _topic(nouns: str, verbs: str) -> Topic:
    return Topic(tuple(n.strip() for n in nouns.split(",")), tuple(v.strip() for v in verbs.split(",")))


TOPICS: dict[str, Topic] = {
    "cooking": _topic(
        "soup, recipe, oven, pan, bread, cake, rice, onion, garlic, salt, pepper, sugar, flour, butter, egg, "
        "cheese, chicken, fish, dinner, lunch, breakfast, meal, ingredient, kitchen, dish, sauce, salad",
        "cook, bake, boil, fry, stir, taste, serve, chop, slice, mix, eat, heat, prepare",
    ),
    "money": _topic(
        "account, bill, bank, cash, coin, card, check, loan, payment, income, tax, salary, "
        "savings, balance, interest rate, limit, debt, wallet, transaction, fee, transfer, charge, pin",
        "pay, save, spend, borrow, lend, owe, transfer, deposit, withdraw, earn, block, order",
    ),
    "travel": _topic(
        "flight, ticket, hotel, passport, visa, suitcase, luggage, airport, plane, train, trip, tourist, map, "
        "beach, holiday, border, station, journey, reservation, country, suitcase",
        "book, fly, visit, pack, travel, board, arrive, leave, explore, cancel, reserve, land, lose, recommend",
    ),
    "cars": _topic(
        "car, tire, engine, oil, gas, brake, battery, road, traffic, garage, mechanic, driver, "
        "seat, wheel, parking, lane, insurance, license, fuel, light, pump, truck, speed",
        "drive, park, change, start, steer, brake, repair, fill, rent, crash, schedule, wash, tow",
    ),
    "home": _topic(
        "house, room, door, window, bed, chair, table, lamp, floor, wall, roof, garden, kitchen, sofa, carpet, "
        "key, lights, heater, thermostat, laundry, shower, neighbour, stairs, shelf, vacuum, plumber",
        "clean, paint, open, close, move, fix, build, wash, turn on, turn off, lock, rent, decorate, tidy",
    ),
    "work": _topic(
        "job, office, boss, meeting, report, project, deadline, team, desk, email, vacation, shift, "
        "contract, interview, manager, raise, retirement, insurance, benefits",
        "work, hire, apply, schedule, request, approve, finish, manage, quit, promote, meet, plan, send",
    ),
    "time": _topic(
        "clock, alarm, calendar, timer, minute, hour, day, week, month, year, date, morning, evening, noon, "
        "midnight, reminder, appointment, event, meeting, list, holiday, birthday, schedule, season",
        "set, wake, remind, wait, begin, end, delay, plan, remember, forget, add, remove, check, snooze",
    ),
    "music": _topic(
        "song, band, guitar, piano, drum, singer, album, concert, playlist, melody, rhythm, lyrics, speaker, "
        "volume, radio, track, tune, choir, violin, stage, audience, record, jazz, beat, voice",
        "play, sing, listen, dance, skip, record, perform, hum, pause, repeat, like, stop, turn up, turn down",
    ),
    "weather": _topic(
        "rain, snow, wind, storm, cloud, sun, temperature, forecast, umbrella, thunder, fog, ice, heat, humidity, "
        "degree, sky, hurricane, spring, summer, autumn, winter, coat, chance, flood, breeze, frost",
        "rain, snow, blow, shine, freeze, melt, forecast, clear, soak, warm, cool, hail, pour, flood",
    ),
    "language": _topic(
        "word, sentence, language, spelling, meaning, definition, translation, accent, grammar, letter, phrase, "
        "dictionary, synonym, spanish, french, german, italian, japanese, chinese, english, greeting, name, verb, term",
        "say, spell, translate, speak, mean, define, pronounce, write, read, learn, explain, repeat, understand, ask",
    ),
    "phone": _topic(
        "phone, message, text, call, contact, number, app, screen, battery, charger, signal, photo, camera, "
        "password, wifi, network, account, update, settings, notification, ringtone, bluetooth, internet, device",
        "call, text, charge, install, sync, find, lose, reset, update, connect, share, answer, locate, hold",
    ),
    "health": _topic(
        "doctor, hospital, medicine, headache, fever, cold, cough, vaccine, nurse, dentist, tooth, blood, heart, "
        "stomach, allergy, diet, exercise, sleep, calorie, vitamin, prescription, pain, clinic, insurance, weight",
        "heal, rest, exercise, hurt, breathe, bleed, swallow, cure, visit, lose, gain, sneeze, recover, feel",
    ),
    "sports": _topic(
        "match, ball, team, goal, coach, player, stadium, race, medal, game, score, referee, bat, net, tennis, "
        "football, basketball, cricket, runner, trophy, season, league, swimmer, fan, court, record",
        "win, lose, kick, throw, catch, run, jump, swim, score, train, defend, beat, draw, compete",
    ),
    "school": _topic(
        "teacher, student, class, lesson, exam, homework, book, pencil, university, course, grade, library, "
        "subject, maths, history, science, degree, essay, question, answer, notebook, page, test, term, campus",
        "study, teach, learn, pass, fail, write, solve, graduate, revise, explain, attend, read, count, enrol",
    ),
    "shopping": _topic(
        "shop, store, price, order, cart, receipt, discount, customer, delivery, parcel, refund, size, brand, "
        "sale, gift, shirt, shoes, dress, market, coupon, stock, return, box, package, cashier",
        "buy, sell, order, return, deliver, exchange, track, ship, refund, try, choose, compare, add, pay",
    ),
    "food places": _topic(
        "restaurant, cafe, waiter, menu, table, reservation, pizza, burger, sushi, coffee, tea, wine, dessert, "
        "tip, chef, review, takeaway, plate, cup, bar, steak, noodle, sandwich, queue, bistro, wait",
        "order, reserve, book, serve, eat, drink, recommend, cancel, confirm, tip, suggest, accept, rate, share",
    ),
    "animals": _topic(
        "dog, cat, horse, cow, sheep, bird, fish, lion, tiger, bear, wolf, fox, rabbit, mouse, snake, frog, bee, "
        "spider, whale, dolphin, monkey, elephant, pet, farm, zoo, nest",
        "bark, run, hunt, feed, fly, swim, climb, hide, bite, chase, sleep, graze, sing, hatch",
    ),
    "science": _topic(
        "planet, star, moon, atom, energy, light, gravity, cell, experiment, theory, laboratory, telescope, "
        "chemical, metal, gas, liquid, ocean, volcano, rock, robot, machine, rocket, orbit, magnet, wave",
        "measure, observe, discover, test, orbit, expand, dissolve, react, explode, launch, prove, invent, melt, grow",
    ),
    "computers": _topic(
        "computer, keyboard, file, folder, program, function, list, string, server, database, error, code, "
        "bug, module, class, object, variable, memory, disk, thread, process, socket, test, script, version, loop",
        "run, compile, install, delete, copy, save, print, debug, return, call, import, load, parse, raise",
    ),
    "family": _topic(
        "mother, father, sister, brother, son, daughter, baby, aunt, uncle, cousin, grandmother, husband, wife, "
        "friend, wedding, birthday, child, parent, twin, party, gift, photo, visit, story, name, relative",
        "love, marry, hug, visit, raise, thank, invite, celebrate, help, miss, call, forgive, trust, laugh",
    ),
    "small talk": _topic(
        "joke, hello, goodbye, thanks, name, secret, question, answer, yes, no, maybe, mood, day, weather, pets, place, coin, smile",
        "thank, greet, meet, tell, joke, guess, flip, roll, ask, agree, laugh, repeat, cancel, chat",
    ),
    "numbers": _topic(
        "sum, number, percent, fraction, square root, total, half, double, dozen, measurement, inch, mile, "
        "kilometer, pound, ounce, cup, liter, gram, distance, dollar, euro, yen, average, digit",
        "add, subtract, multiply, divide, convert, count, calculate, round, measure, double, estimate, compare, weigh",
    ),
    "city": _topic(
        "street, bridge, river, park, museum, library, church, tower, square, bus, tram, taxi, station, market, "
        "corner, crowd, building, direction, address, neighbourhood, harbour, statue, theatre, cinema, traffic, mayor",
        "walk, cross, turn, follow, reach, find, stop, wait, ride, share, direct, wander, meet, locate",
    ),
    "nature": _topic(
        "tree, flower, leaf, river, mountain, forest, lake, valley, grass, seed, root, stone, hill, island, sand, "
        "wave, desert, waterfall, branch, soil, path, cave, field, meadow, cliff, spring",
        "grow, bloom, fall, flow, climb, plant, water, cut, burn, shade, dry, hike, camp, explore",
    ),
}
