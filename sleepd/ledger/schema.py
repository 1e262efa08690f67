"""The ledger's tables, one migration a version. A released migration never changes: add the next one.

Each migration is a tuple of statements that run in one transaction, together with the new
``user_version``.
"""

from __future__ import annotations

TABLES = (
    """CREATE TABLE experiences (
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
    )""",
    "CREATE INDEX experiences_pending ON experiences (total DESC, seq) WHERE usable = 1 AND trained_by IS NULL",
    "CREATE INDEX experiences_trained ON experiences (trained_by) WHERE trained_by IS NOT NULL",
    # Apart from ``experiences``: a rebuilt ledger knows what was trained before it has seen the buffer again.
    "CREATE TABLE trained (experience_id TEXT PRIMARY KEY, cycle INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE INDEX trained_cycle ON trained (cycle)",
    """CREATE TABLE sources (
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
    ) WITHOUT ROWID""",
    """CREATE TABLE quarantine (
        kind TEXT NOT NULL,
        key TEXT NOT NULL,
        reason TEXT NOT NULL,
        payload TEXT NOT NULL,
        first_seen TEXT NOT NULL,
        last_seen TEXT NOT NULL,
        count INTEGER NOT NULL,
        PRIMARY KEY (kind, key)
    ) WITHOUT ROWID""",
    "CREATE INDEX quarantine_latest ON quarantine (last_seen)",
    """CREATE TABLE cards (
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
    ) WITHOUT ROWID""",
    "CREATE INDEX cards_status ON cards (status)",
    """CREATE TABLE probes (
        card_id TEXT NOT NULL REFERENCES cards (id) ON DELETE CASCADE,
        cycle INTEGER NOT NULL,
        recalled INTEGER NOT NULL,
        at TEXT NOT NULL,
        PRIMARY KEY (card_id, cycle)
    ) WITHOUT ROWID""",
    """CREATE TABLE cycles (
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
    )""",
    "CREATE INDEX cycles_verdict ON cycles (verdict, number)",
    """CREATE TABLE steps (
        seq INTEGER PRIMARY KEY,
        cycle INTEGER NOT NULL REFERENCES cycles (number) ON DELETE CASCADE,
        step TEXT NOT NULL,
        data TEXT NOT NULL,
        entered_at TEXT NOT NULL
    )""",
    "CREATE INDEX steps_cycle ON steps (cycle, seq)",
    """CREATE TABLE decisions (
        seq INTEGER PRIMARY KEY,
        should_run INTEGER NOT NULL,
        outcome TEXT NOT NULL,
        decision TEXT NOT NULL,
        first_seen TEXT NOT NULL,
        last_seen TEXT NOT NULL,
        count INTEGER NOT NULL
    )""",
    "CREATE TABLE vals (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
)

# Counts that the screen and ``status`` ask for all the time. Triggers keep them, so that no path of
# code can forget to, and asking costs the same with a hundred experiences as with a million.
# A reason is counted by what stands before its colon: what follows are the numbers of one entry.
_REASON = "rtrim(substr(r.value, 1, instr(r.value || ':', ':') - 1))"
COUNTS = (
    """CREATE TABLE totals (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        experiences INTEGER NOT NULL, usable INTEGER NOT NULL, examples INTEGER NOT NULL,
        with_cards INTEGER NOT NULL, new INTEGER NOT NULL, own INTEGER NOT NULL
    )""",
    """INSERT INTO totals SELECT 1, COUNT(*), COALESCE(SUM(usable), 0), COALESCE(SUM(example), 0), COALESCE(SUM(with_cards), 0),
        COALESCE(SUM(usable = 1 AND trained_by IS NULL), 0), COALESCE(SUM(own), 0) FROM experiences""",
    "CREATE TABLE tallies (family TEXT NOT NULL, key TEXT NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (family, key)) WITHOUT ROWID",
    "INSERT INTO tallies SELECT 'prompt', prompt_key, COUNT(*) FROM experiences GROUP BY prompt_key",
    "INSERT INTO tallies SELECT 'session', session, COUNT(*) FROM experiences WHERE session IS NOT NULL GROUP BY session",
    f"INSERT INTO tallies SELECT 'reason', {_REASON}, COUNT(DISTINCT seq) FROM experiences, json_each(experiences.reasons) AS r GROUP BY 2",
    f"""CREATE TRIGGER experiences_added AFTER INSERT ON experiences BEGIN
        UPDATE totals SET experiences = experiences + 1, usable = usable + NEW.usable, examples = examples + NEW.example,
            with_cards = with_cards + NEW.with_cards, new = new + (NEW.usable = 1 AND NEW.trained_by IS NULL), own = own + NEW.own;
        INSERT INTO tallies VALUES ('prompt', NEW.prompt_key, 1) ON CONFLICT (family, key) DO UPDATE SET n = n + 1;
        INSERT INTO tallies SELECT 'session', NEW.session, 1 WHERE NEW.session IS NOT NULL
            ON CONFLICT (family, key) DO UPDATE SET n = n + 1;
        INSERT INTO tallies SELECT DISTINCT 'reason', {_REASON}, 1 FROM json_each(NEW.reasons) AS r WHERE true
            ON CONFLICT (family, key) DO UPDATE SET n = n + 1;
    END""",
    f"""CREATE TRIGGER experiences_removed AFTER DELETE ON experiences BEGIN
        UPDATE totals SET experiences = experiences - 1, usable = usable - OLD.usable, examples = examples - OLD.example,
            with_cards = with_cards - OLD.with_cards, new = new - (OLD.usable = 1 AND OLD.trained_by IS NULL), own = own - OLD.own;
        UPDATE tallies SET n = n - 1 WHERE (family, key) = ('prompt', OLD.prompt_key);
        UPDATE tallies SET n = n - 1 WHERE (family, key) = ('session', CAST(OLD.session AS TEXT));
        UPDATE tallies SET n = n - 1 WHERE family = 'reason' AND key IN (SELECT {_REASON} FROM json_each(OLD.reasons) AS r);
        DELETE FROM tallies WHERE n = 0 AND ((family, key) = ('prompt', OLD.prompt_key)
            OR (family, key) = ('session', CAST(OLD.session AS TEXT)) OR family = 'reason');
    END""",
    """CREATE TRIGGER experiences_trained_changed AFTER UPDATE OF trained_by ON experiences BEGIN
        UPDATE totals SET new = new + (NEW.usable = 1 AND NEW.trained_by IS NULL) - (OLD.usable = 1 AND OLD.trained_by IS NULL);
    END""",
)

# What deep cycles dreamt, and how likely a card's right answer was when it was last asked for.
DREAMS = (
    "ALTER TABLE probes ADD COLUMN loss REAL",
    """CREATE TABLE dreams (
        id TEXT PRIMARY KEY,
        kind TEXT NOT NULL,
        card_ids TEXT NOT NULL,
        messages TEXT NOT NULL,
        cycle INTEGER NOT NULL,
        times INTEGER NOT NULL,
        dreamt_at TEXT NOT NULL,
        vetoed_by TEXT,
        vetoed_at TEXT
    ) WITHOUT ROWID""",
    "CREATE INDEX dreams_latest ON dreams (cycle)",
)

# A card's life: which probes followed a night that taught the card, and what a person asked to forget. ``card`` of a
# forgotten card holds what has to be asked for until the receipt, and nothing afterwards.
LIFE = (
    "ALTER TABLE probes ADD COLUMN taught INTEGER NOT NULL DEFAULT 0",
    "UPDATE probes SET taught = 1 WHERE cycle = (SELECT MIN(first.cycle) FROM probes AS first WHERE first.card_id = probes.card_id)",
    "ALTER TABLE experiences ADD COLUMN forgotten INTEGER",
    """CREATE TABLE forgets (
        number INTEGER PRIMARY KEY,
        asked_at TEXT NOT NULL,
        asked_by TEXT NOT NULL,
        exchanges INTEGER NOT NULL,
        seen INTEGER,
        since INTEGER,
        until INTEGER,
        settled_at TEXT,
        settled_by TEXT,
        cleared_at TEXT,
        removed TEXT NOT NULL DEFAULT '[]',
        left_in TEXT NOT NULL DEFAULT '[]'
    )""",
    """CREATE TABLE forgotten_cards (
        forget INTEGER NOT NULL REFERENCES forgets (number) ON DELETE CASCADE,
        card_id TEXT NOT NULL,
        card TEXT,
        tries INTEGER,
        extracted INTEGER,
        base_extracted INTEGER,
        PRIMARY KEY (forget, card_id)
    ) WITHOUT ROWID""",
)

ORIGIN = ("ALTER TABLE cards ADD COLUMN origin TEXT NOT NULL DEFAULT 'pattern'",)

MIGRATIONS: tuple[tuple[str, ...], ...] = (TABLES, COUNTS, DREAMS, LIFE, ORIGIN)
VERSION = len(MIGRATIONS)
