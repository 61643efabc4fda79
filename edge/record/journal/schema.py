"""The tables of a journal file.  Rows are small: texts stand once a file, in lookup tables; times are integers.

A part's instants T1 to T4 are nanoseconds after its T0; what the gateway learnt of a part later is nanoseconds
(``_dt``) after the first that it learnt (``at_ns``).  The views give everything in full.
"""

from __future__ import annotations

VERSION = 1
"""``PRAGMA user_version`` of the files; a file of another version is left alone, and a new one begun."""

TABLES = """
CREATE TABLE run(                    -- one start of the process, as far as it wrote into this file
  id INTEGER PRIMARY KEY, process TEXT, name TEXT, lane INTEGER, pid INTEGER, version TEXT,
  boot TEXT,                         -- monotonic times compare within one boot alone
  started_ns INTEGER, started_ms INTEGER);
CREATE TABLE word(id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TABLE identity(               -- under which session, and by what, parts were decided
  id INTEGER PRIMARY KEY, run INTEGER, session INTEGER, station TEXT, lane INTEGER,
  recipe TEXT, model TEXT, engine TEXT, precision TEXT, version TEXT);
CREATE TABLE scope(                  -- the sessions under which the gateway learnt something
  id INTEGER PRIMARY KEY, run INTEGER, plc INTEGER, gateway INTEGER, station INTEGER, epoch INTEGER);

CREATE TABLE part(                   -- a part, as the station knows it
  id INTEGER PRIMARY KEY, identity INTEGER, number INTEGER, count INTEGER, wall_ms INTEGER,
  t0_ns INTEGER, t1 INTEGER, t2 INTEGER, t3 INTEGER, t4 INTEGER,
  outcome INTEGER, cause INTEGER, rule INTEGER, disposition INTEGER, tag TEXT);
CREATE INDEX part_number ON part(number);
CREATE TABLE finding(
  part INTEGER, n INTEGER, cls INTEGER, score REAL, x1 REAL, y1 REAL, x2 REAL, y2 REAL,
  PRIMARY KEY(part, n)) WITHOUT ROWID;

CREATE TABLE gate(                   -- a part, as the gateway knows it under one scope
  id INTEGER PRIMARY KEY, scope INTEGER, number INTEGER, count INTEGER, wall_ms INTEGER, at_ns INTEGER,
  answered INTEGER, answered_dt INTEGER, permit INTEGER, permit_dt INTEGER, armed_dt INTEGER,
  ended INTEGER, ended_dt INTEGER, executed_dt INTEGER, voided INTEGER, voided_dt INTEGER,
  gated INTEGER, gated_dt INTEGER, sensor INTEGER, sensor_dt INTEGER);
CREATE UNIQUE INDEX gate_number ON gate(number, scope);
CREATE TABLE fact(                   -- what table gate has no room for: said twice, or of a range of parts
  id INTEGER PRIMARY KEY, scope INTEGER, number INTEGER, count INTEGER, wall_ms INTEGER, at_ns INTEGER,
  fact INTEGER, detail INTEGER);
CREATE INDEX fact_number ON fact(number);

CREATE TABLE event(
  id INTEGER PRIMARY KEY, run INTEGER, wall_ms INTEGER, at_ns INTEGER, kind INTEGER, text TEXT, data TEXT);
CREATE TABLE counts(id INTEGER PRIMARY KEY, run INTEGER, wall_ms INTEGER, at_ns INTEGER, data TEXT);
CREATE TABLE missing(                -- rows that found no room: how many, of which kind, and when
  id INTEGER PRIMARY KEY, run INTEGER, wall_ms INTEGER, kind INTEGER, rows INTEGER, from_ns INTEGER, to_ns INTEGER);

CREATE VIEW parts AS SELECT
  p.id, r.boot, strftime('%Y-%m-%dT%H:%M:%fZ', p.wall_ms / 1000.0, 'unixepoch') AS wall, p.wall_ms,
  i.station, i.lane, i.session, p.number, p.count,
  o.text AS outcome, c.text AS cause, u.text AS rule, d.text AS disposition, p.tag,
  t0_ns, t0_ns + t1 AS t1_ns, t0_ns + t2 AS t2_ns, t0_ns + t3 AS t3_ns, t0_ns + t4 AS t4_ns,
  i.recipe, i.model, i.engine, i.precision, i.version
FROM part p JOIN identity i ON i.id = p.identity JOIN run r ON r.id = i.run
  LEFT JOIN word o ON o.id = p.outcome LEFT JOIN word c ON c.id = p.cause
  LEFT JOIN word u ON u.id = p.rule LEFT JOIN word d ON d.id = p.disposition;
CREATE VIEW findings AS SELECT f.part, f.n, w.text AS cls, f.score, f.x1, f.y1, f.x2, f.y2
FROM finding f LEFT JOIN word w ON w.id = f.cls;
CREATE VIEW gates AS SELECT
  g.id, r.boot, strftime('%Y-%m-%dT%H:%M:%fZ', g.wall_ms / 1000.0, 'unixepoch') AS wall, g.wall_ms,
  s.plc, s.gateway, s.station, s.epoch, g.number, g.count, g.at_ns,
  a.text AS answered, at_ns + answered_dt AS answered_ns, p.text AS permit, at_ns + permit_dt AS permit_ns,
  at_ns + armed_dt AS armed_ns, e.text AS ended, at_ns + ended_dt AS ended_ns,
  at_ns + executed_dt AS executed_ns, v.text AS voided, at_ns + voided_dt AS voided_ns,
  d.text AS gated, at_ns + gated_dt AS gated_ns, c.text AS sensor, at_ns + sensor_dt AS sensor_ns
FROM gate g JOIN scope s ON s.id = g.scope JOIN run r ON r.id = s.run
  LEFT JOIN word a ON a.id = g.answered LEFT JOIN word p ON p.id = g.permit LEFT JOIN word e ON e.id = g.ended
  LEFT JOIN word v ON v.id = g.voided LEFT JOIN word d ON d.id = g.gated LEFT JOIN word c ON c.id = g.sensor;
CREATE VIEW facts AS SELECT
  f.id, r.boot, strftime('%Y-%m-%dT%H:%M:%fZ', f.wall_ms / 1000.0, 'unixepoch') AS wall, f.wall_ms,
  s.plc, s.gateway, s.station, s.epoch, f.number, f.count, f.at_ns, k.text AS fact, d.text AS detail
FROM fact f JOIN scope s ON s.id = f.scope JOIN run r ON r.id = s.run
  LEFT JOIN word k ON k.id = f.fact LEFT JOIN word d ON d.id = f.detail;
CREATE VIEW events AS SELECT
  e.id, r.boot, strftime('%Y-%m-%dT%H:%M:%fZ', e.wall_ms / 1000.0, 'unixepoch') AS wall, e.wall_ms, e.at_ns,
  k.text AS kind, e.text, e.data FROM event e JOIN run r ON r.id = e.run LEFT JOIN word k ON k.id = e.kind;
"""
