CREATE TABLE world_tracks (
    id INTEGER PRIMARY KEY,                  -- its number, which no other track ever has
    name TEXT NOT NULL UNIQUE,               -- as people know it
    first_ns INTEGER NOT NULL,
    last_ns INTEGER NOT NULL,
    state TEXT NOT NULL,
    class TEXT NOT NULL,
    sensors TEXT NOT NULL,                   -- JSON: those that contributed
    said TEXT NOT NULL                       -- JSON: claim, identity, reasons, image tracks
);
CREATE INDEX world_tracks_by_first ON world_tracks (first_ns);
CREATE INDEX world_tracks_by_last ON world_tracks (last_ns);
CREATE TABLE world_points (
    track INTEGER NOT NULL REFERENCES world_tracks ON DELETE CASCADE,
    time_ns INTEGER NOT NULL,
    state TEXT NOT NULL,
    latitude REAL NOT NULL, longitude REAL NOT NULL, altitude REAL NOT NULL,
    estimate BLOB NOT NULL,                  -- see _ESTIMATE
    PRIMARY KEY (track, time_ns)
) WITHOUT ROWID;
CREATE TABLE zones (
    id TEXT PRIMARY KEY,
    definition TEXT                          -- JSON; NULL: removed by somebody
);
CREATE TABLE zone_seeds (
    id TEXT PRIMARY KEY,
    definition TEXT NOT NULL                 -- what the site file said when it was last taken over
);
CREATE TABLE alerts (
    number INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    track TEXT NOT NULL,
    zone TEXT,
    started_ns INTEGER NOT NULL,
    time_ns INTEGER NOT NULL,
    active INTEGER NOT NULL,
    critical INTEGER NOT NULL,
    probability REAL NOT NULL,
    time_to_entry REAL,
    text TEXT NOT NULL,
    acknowledged_ns INTEGER,
    acknowledged_by TEXT,
    note TEXT
);
