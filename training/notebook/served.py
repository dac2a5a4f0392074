"""Under load: what load tests of the service measured."""

from training.notebook.language import Language
from training.notebook.parts import Section, plain, table
from training.notebook.records import Records

_COLUMNS = ("scenario", "model", "requests", "requests_s", "tokens_s", "first_token", "answer", "failed", "wrong")


def section(records: Records, lang: Language) -> Section:
    """A line a model; nothing where no load test was given, for a week of experiments need not serve."""
    rows = []
    for record in records.of("loadtest"):
        for model, f in {lang("served.all"): record["total"], **record["models"]}.items():
            rows.append(
                [
                    plain(record["scenario"]["name"]),
                    plain(model),
                    lang.number(f["requests"]),
                    lang.number(f["requests_per_second"]),
                    lang.number(f["tokens_per_second"]),
                    f"{lang.seconds(f['first_token_p50'])} / {lang.seconds(f['first_token_p99'])}",
                    f"{lang.seconds(f['answer_p50'])} / {lang.seconds(f['answer_p99'])}",
                    str(f["failed"]),
                    str(f["wrong_adapter"]),
                ]
            )
    return Section(lang("served.title"), [table([lang(f"served.{name}") for name in _COLUMNS], rows)] if rows else [])
