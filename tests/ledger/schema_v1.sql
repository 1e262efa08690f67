-- A ledger as version 1 wrote it, with a few rows. Never edit: it stands for files on other people's disks.
CREATE TABLE experiences (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        prompt TEXT NOT NULL,
        response TEXT NOT NULL,
        surprise REAL NOT NULL, novelty REAL NOT NULL, arousal REAL NOT NULL,
        reward REAL NOT NULL, conflict REAL NOT NULL, total REAL NOT NULL,
        session INTEGER,
        phase TEXT,
        timestamp TEXT,
        metadata TEXT NOT NULL,
        tool_calls TEXT NOT NULL,
        prompt_key TEXT NOT NULL,
        own INTEGER NOT NULL,
        example INTEGER NOT NULL,
        usable INTEGER NOT NULL,
        with_cards INTEGER NOT NULL,
        reasons TEXT NOT NULL,
        cards TEXT NOT NULL,
        trimmed TEXT,
        source TEXT NOT NULL,
        added_at TEXT NOT NULL,
        trained_by INTEGER
    );
CREATE INDEX experiences_pending ON experiences (total DESC, seq) WHERE usable = 1 AND trained_by IS NULL;
CREATE INDEX experiences_trained ON experiences (trained_by) WHERE trained_by IS NOT NULL;
CREATE TABLE trained (experience_id TEXT PRIMARY KEY, cycle INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX trained_cycle ON trained (cycle);
CREATE TABLE sources (
        path TEXT PRIMARY KEY,
        size INTEGER NOT NULL,
        mtime_ns INTEGER NOT NULL,
        inode INTEGER NOT NULL,
        form TEXT NOT NULL,
        offset INTEGER NOT NULL,
        entries INTEGER NOT NULL,
        prefix_sha256 TEXT NOT NULL,
        changed_at TEXT,
        error TEXT
    ) WITHOUT ROWID;
CREATE TABLE quarantine (
        kind TEXT NOT NULL,
        key TEXT NOT NULL,
        reason TEXT NOT NULL,
        payload TEXT NOT NULL,
        first_seen TEXT NOT NULL,
        last_seen TEXT NOT NULL,
        count INTEGER NOT NULL,
        PRIMARY KEY (kind, key)
    ) WITHOUT ROWID;
CREATE INDEX quarantine_latest ON quarantine (last_seen);
CREATE TABLE cards (
        id TEXT PRIMARY KEY,
        subject TEXT NOT NULL,
        relation TEXT NOT NULL,
        value TEXT NOT NULL,
        quote TEXT NOT NULL,
        speaker TEXT NOT NULL,
        time TEXT,
        session INTEGER,
        importance REAL NOT NULL,
        experience_id TEXT NOT NULL,
        status TEXT NOT NULL,
        created_at TEXT NOT NULL,
        changed_at TEXT NOT NULL
    ) WITHOUT ROWID;
CREATE INDEX cards_status ON cards (status);
CREATE TABLE probes (
        card_id TEXT NOT NULL REFERENCES cards (id) ON DELETE CASCADE,
        cycle INTEGER NOT NULL,
        recalled INTEGER NOT NULL,
        at TEXT NOT NULL,
        PRIMARY KEY (card_id, cycle)
    ) WITHOUT ROWID;
CREATE TABLE cycles (
        number INTEGER PRIMARY KEY,
        kind TEXT NOT NULL,
        job_dir TEXT NOT NULL,
        requested_by TEXT NOT NULL,
        step TEXT NOT NULL DEFAULT '',
        step_data TEXT NOT NULL DEFAULT '{}',
        started_at TEXT NOT NULL,
        finished_at TEXT,
        verdict TEXT,
        reasons TEXT NOT NULL DEFAULT '[]',
        summary TEXT NOT NULL DEFAULT '{}',
        tag TEXT
    );
CREATE INDEX cycles_verdict ON cycles (verdict, number);
CREATE TABLE steps (
        seq INTEGER PRIMARY KEY,
        cycle INTEGER NOT NULL REFERENCES cycles (number) ON DELETE CASCADE,
        step TEXT NOT NULL,
        data TEXT NOT NULL,
        entered_at TEXT NOT NULL
    );
CREATE INDEX steps_cycle ON steps (cycle, seq);
CREATE TABLE decisions (
        seq INTEGER PRIMARY KEY,
        should_run INTEGER NOT NULL,
        outcome TEXT NOT NULL,
        decision TEXT NOT NULL,
        first_seen TEXT NOT NULL,
        last_seen TEXT NOT NULL,
        count INTEGER NOT NULL
    );
CREATE TABLE vals (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

INSERT INTO experiences VALUES (1, 'e1', 'How are you?', 'Fine.', 0.5, 0.5, 0.5, 0.5, 0.5, 0.9, 7, NULL, NULL, '{}', '[]',
    'f0b380c58db9fc81', 0, 1, 1, 0, '[]', '[]', NULL, '/b.json', '2026-01-18T17:00:00+00:00', 1);
INSERT INTO experiences VALUES (2, 'e2', 'how are you?', 'Noted.', 0.5, 0.5, 0.5, 0.5, 0.5, 0.6, 7, NULL, NULL, '{"adapter": "cycle_001"}', '[]',
    'f0b380c58db9fc81', 1, 0, 1, 1, '["short: 1 word", "secret"]',
    '[{"id": "c", "subject": "Ada", "relation": "city", "value": "Oslo", "quote": "Ada lives in Oslo.", "speaker": "user", "time": null, "session": 7, "importance": 0.5, "experience_id": "e2", "status": "new"}]',
    NULL, '/b.json', '2026-01-18T17:00:01+00:00', NULL);
INSERT INTO experiences VALUES (3, 'e3', 'Other', 'No.', 0.5, 0.5, 0.5, 0.5, 0.5, 0.6, NULL, NULL, NULL, '{}', '[]',
    'd9298a10d1b07358', 0, 0, 0, 0, '["short: 2 words"]', '[]', NULL, '/b.json', '2026-01-18T17:00:02+00:00', NULL);
INSERT INTO trained VALUES ('e1', 1);
INSERT INTO cycles (number, kind, job_dir, requested_by, started_at, finished_at, verdict)
    VALUES (1, 'light', '/jobs/1', 'schedule', '2026-01-18T17:30:00+00:00', '2026-01-18T17:38:32+00:00', 'committed');
PRAGMA user_version = 1;
