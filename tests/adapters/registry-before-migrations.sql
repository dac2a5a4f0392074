-- The tables as Patchbay made them before it had migrations, with a little in them.
CREATE TABLE adapters (
	name VARCHAR(64) NOT NULL,
	live VARCHAR(80),
	previous VARCHAR(80),
	pinned BOOLEAN NOT NULL,
	created VARCHAR(32) NOT NULL,
	PRIMARY KEY (name)
);
CREATE TABLE evaluations (
	id VARCHAR(40) NOT NULL,
	created VARCHAR(32) NOT NULL,
	status VARCHAR(16) NOT NULL,
	name VARCHAR(64),
	version VARCHAR(80),
	body JSON NOT NULL,
	PRIMARY KEY (id)
);
CREATE TABLE events (
	id INTEGER NOT NULL,
	at VARCHAR(32) NOT NULL,
	actor VARCHAR(64) NOT NULL,
	action VARCHAR(32) NOT NULL,
	name VARCHAR(64),
	"before" VARCHAR(80),
	"after" VARCHAR(80),
	PRIMARY KEY (id)
);
CREATE TABLE settings (
	"key" VARCHAR(64) NOT NULL,
	value VARCHAR(200),
	PRIMARY KEY ("key")
);
CREATE TABLE versions (
	engine_id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	name VARCHAR(64) NOT NULL,
	digest VARCHAR(80) NOT NULL,
	rank INTEGER NOT NULL,
	tensor_bytes INTEGER NOT NULL,
	status VARCHAR(16) NOT NULL,
	created VARCHAR(32) NOT NULL,
	UNIQUE (name, digest),
	FOREIGN KEY(name) REFERENCES adapters (name)
);
CREATE INDEX ix_events_name ON events (name);
CREATE INDEX ix_evaluations_name ON evaluations (name);
CREATE INDEX ix_evaluations_status ON evaluations (status);
INSERT INTO adapters VALUES ('route', 'sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb', 'sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 1, '2026-11-20T10:00:00.000Z');
INSERT INTO versions VALUES (1, 'route', 'sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 8, 1000, 'unverified', '2026-11-20T10:00:00.000Z');
INSERT INTO versions VALUES (3, 'route', 'sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb', 8, 1000, 'verified', '2026-11-20T10:00:00.000Z');
INSERT INTO settings VALUES ('default', 'route');
INSERT INTO events VALUES (1, '2026-11-20T10:00:00.000Z', 'local', 'upload', 'route', NULL, 'sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb');
INSERT INTO events VALUES (2, '2026-11-20T10:00:00.000Z', 'local', 'promote', 'route', 'sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb');
INSERT INTO evaluations VALUES ('eval-1', '2026-11-20T10:00:00.000Z', 'completed', 'route', 'sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb', '{"id": "eval-1", "n": 2}');
