CREATE TABLE sensors (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    reserved INTEGER NOT NULL                -- the largest track number that may have been used
);
CREATE TABLE tracks (
    id INTEGER PRIMARY KEY,                  -- sensor << 32 | number
    sensor INTEGER NOT NULL REFERENCES sensors,
    first_ns INTEGER NOT NULL,
    last_ns INTEGER NOT NULL,
    state TEXT NOT NULL,
    class TEXT NOT NULL,
    confirmed INTEGER NOT NULL               -- 1 once it has been
);
CREATE INDEX tracks_by_first ON tracks (first_ns);
CREATE INDEX tracks_by_last ON tracks (last_ns);
CREATE TABLE points (
    track INTEGER NOT NULL REFERENCES tracks ON DELETE CASCADE,
    time_ns INTEGER NOT NULL,
    state TEXT NOT NULL,
    score REAL NOT NULL,
    existence REAL NOT NULL,
    x REAL NOT NULL, y REAL NOT NULL, width REAL NOT NULL, height REAL NOT NULL,
    estimate BLOB NOT NULL,                  -- float32: 4 class probabilities, 2 velocities, 16 of the covariance
    PRIMARY KEY (track, time_ns)
) WITHOUT ROWID;
CREATE TABLE detections (
    id INTEGER PRIMARY KEY,
    time_ns INTEGER NOT NULL,
    sensor INTEGER NOT NULL REFERENCES sensors,
    class TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    score REAL NOT NULL,
    x REAL NOT NULL, y REAL NOT NULL, width REAL NOT NULL, height REAL NOT NULL,
    class_scores BLOB NOT NULL               -- float32, one per class
);
CREATE INDEX detections_by_time ON detections (time_ns);
CREATE INDEX detections_by_sensor ON detections (sensor, time_ns);
CREATE INDEX detections_by_class ON detections (class, time_ns);
