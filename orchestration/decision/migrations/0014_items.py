"""Decision: the items of the feed, what sources list of them, and what is published of them."""

from alembic import op

revision = "0014_items"
down_revision = "0014_identity_reviews"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE decision.items (
    item_id        text COLLATE "C" PRIMARY KEY,
    source         text NOT NULL,
    title          text NOT NULL,
    category       text COLLATE "C",
    price          numeric(14, 4) CHECK (price >= 0),
    currency       text,
    rating         numeric(5, 2),
    regions        text[] NOT NULL DEFAULT '{}',   -- where it is sold; empty: everywhere
    stock          integer CHECK (stock >= 0),     -- NULL: not counted
    locale         text,
    brand          text,
    url            text,
    image          text,
    content_rating text,
    listed         boolean NOT NULL DEFAULT false, -- some source lists it, alone or in a bundle
    changed_at     timestamptz NOT NULL
);
CREATE INDEX items_category ON decision.items (category, rating DESC NULLS LAST, item_id) WHERE category IS NOT NULL;
CREATE INDEX items_listed ON decision.items (item_id) WHERE listed;
GRANT SELECT, INSERT, UPDATE ON decision.items TO candor_app;

-- What a source lists for a key (a region, a category, an item; empty: for everybody), best first. Replaced as a whole.
CREATE TABLE decision.lists (
    source text NOT NULL,
    key    text COLLATE "C" NOT NULL,
    items  text[] NOT NULL,
    scores real[] NOT NULL,
    PRIMARY KEY (source, key)
);
GRANT SELECT, INSERT, DELETE ON decision.lists TO candor_app;

CREATE TABLE decision.bundles (
    bundle_id  text COLLATE "C" PRIMARY KEY,
    primary_id text COLLATE "C" NOT NULL,
    items      text[] NOT NULL,            -- those that go with the primary one
    discount   double precision NOT NULL CHECK (discount >= 0 AND discount < 1),
    score      double precision NOT NULL,
    title      text,
    declared   boolean NOT NULL            -- in the catalogue; otherwise found in orders
);
GRANT SELECT, INSERT, DELETE ON decision.bundles TO candor_app;

-- The words of a template filled by an item. A published one never changes: other words of the item have another id.
CREATE TABLE decision.item_contents (
    variant      text COLLATE "C" PRIMARY KEY,
    item_id      text COLLATE "C" NOT NULL,
    digest       text NOT NULL,
    words        jsonb NOT NULL,
    published_at timestamptz NOT NULL
);
CREATE INDEX item_contents_item ON decision.item_contents (item_id);
GRANT SELECT, INSERT ON decision.item_contents TO candor_app;

-- Each time what sources offer has changed; the last one rules, and decisions are fenced by it.
CREATE TABLE decision.assortments (
    version bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cause   text NOT NULL,
    made_at timestamptz NOT NULL
);
GRANT SELECT, INSERT ON decision.assortments TO candor_app;

DO $$ BEGIN
    IF current_setting('server_version_num')::int >= 170000 THEN
        EXECUTE 'GRANT MAINTAIN ON decision.items, decision.lists, decision.item_contents TO candor_app';
    END IF;
END $$;
"""


def upgrade() -> None:
    """Make the tables."""
    op.execute(UP)


def downgrade() -> None:
    """Remove them with all they hold."""
    op.execute(
        "DROP TABLE decision.items, decision.lists, decision.bundles, decision.item_contents, decision.assortments"
    )
