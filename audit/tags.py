"""Every auditable act, on one page. A tag stands in clear on the leaf: it names a kind of act, never a person.

Any room adds its own here, with a sentence; a tag is never renamed or removed, because old leaves carry it.
"""

from enum import StrEnum
from typing import Self


class Tag(StrEnum):
    """`room noun . past participle`, with what it means."""

    description: str

    def __new__(cls, value: str, description: str) -> Self:
        """A tag is its value; the description travels with it."""
        tag = str.__new__(cls, value)
        tag._value_ = value
        tag.description = description
        return tag

    # consent
    CONSENT_RECORDED = "consent.recorded", "A consent act was recorded: granted or denied, by whom, under which notice."
    CONSENT_IMPORTED = "consent.imported", "A batch of consent acts came in from a file."
    CONSENT_DECODED = "consent.decoded", "A signal (GPC, TCF, GPP) was read and turned into acts."
    CONSENT_RECEIPT = "consent.receipt", "A person took a receipt of what she told us; it is named by its digest."
    CONFIRMATION_ASKED = "confirmation.asked", "A mail was queued that asks a contact to confirm a pending consent."
    POLICY_CHANGED = "policy.changed", "A rule of who may be contacted for what was changed."
    NOTICE_PUBLISHED = "notice.published", "A notice text was published under a version."
    # identity
    RECORD_ADDED = "record.added", "A source record was taken in."
    GRAPH_PUBLISHED = "graph.published", "A new version of the identity graph went live."
    GRAPH_CHANGED = (
        "graph.changed",
        "The identity graph has a new version; facts hold its cause and the digest of its lines.",
    )
    RUN_PUBLISHED = (
        "run.published",
        "A linkage run passed the gate, or was let through; facts hold figures of its card.",
    )
    GRAPH_HELD = "graph.held", "The gate kept the graph of a linkage run from going live, for the reasons in the facts."
    GRAPH_ALLOWED = (
        "graph.allowed",
        "Staff overruled the gate's objections to a linkage run, for the reason in the facts.",
    )
    PERSON_MERGED = "person.merged", "Two persons were found to be one."
    PERSON_SPLIT = "person.split", "One person was found to be several."
    PERSON_PINNED = "person.pinned", "Staff decided that records belong, or do not belong, together."
    REVIEW_DECIDED = "review.decided", "Staff answered an ambiguous pair."
    # events
    EVENTS_ACCEPTED = "events.accepted", "A batch of events was stored; facts hold the count and the digest."
    EVENTS_REFUSED = "events.refused", "Events were refused or filtered at the door; facts hold counts by reason."
    IMPORT_RUN = "import.run", "A file was imported under a mapping; facts hold digests and counts."
    # profiles and retention
    PROFILES_BUILT = "profiles.built", "Profiles were assembled for a purpose; facts hold digests and counts."
    RETENTION_RUN = "retention.run", "Data past its time was removed."
    CACHE_REBUILT = "cache.rebuilt", "The hot store was rebuilt from Postgres."
    # decision and learning
    DECISION_MADE = "decision.made", "A choice was made for a person and a placement, with its probabilities."
    DECISION_REPLAYED = "decision.replayed", "A decision was run again and compared, bit for bit."
    EXPOSURE_SEEN = "exposure.seen", "What was decided was shown."
    CATALOGUE_PUBLISHED = "catalogue.published", "Placements, contents and variants went live."
    CONTENT_PUBLISHED = "content.published", "An immutable content file was published."
    TRIGGERS_PUBLISHED = "triggers.published", "Rules of what sets messages off went live."
    TRIGGER_CHANGED = "trigger.changed", "A trigger was paused or resumed."
    CAMPAIGN_CHANGED = "campaign.changed", "A campaign was started, paused, resumed or killed."
    EXPERIMENT_CHANGED = "experiment.changed", "An experiment was started, ramped or stopped."
    REWARDS_COUNTED = (
        "rewards.counted",
        "Outcomes were credited to decisions under a new version; facts hold its digest.",
    )
    MODEL_TRAINED = "model.trained", "A model was trained; facts hold the digests of data and model."
    MODEL_PROMOTED = "model.promoted", "A model began to decide."
    MODEL_HELD = "model.held", "The gate kept a trained model from deciding."
    MODEL_ROLLED_BACK = "model.rolled_back", "An earlier model decides again."
    # channels
    DELIVERY_RESERVED = "delivery.reserved", "A message was queued, its cap reserved in the decision's commit."
    DELIVERY_WITHHELD = "delivery.withheld", "A message was not sent, for the reason in the facts."
    DELIVERY_CANCELLED = "delivery.cancelled", "A queued message was called off."
    DELIVERY_INTENT = "delivery.intent", "A send began: durable before the first byte left."
    DELIVERY_ACCEPTED = "delivery.accepted", "The provider took the message."
    DELIVERY_REJECTED = "delivery.rejected", "The provider refused the message."
    DELIVERY_UNCERTAIN = "delivery.uncertain", "It is unknown whether the provider took the message."
    DELIVERY_DEFERRED = "delivery.deferred", "The provider took nothing for now; the message waits for another attempt."
    DELIVERY_RECEIPT = "delivery.receipt", "The provider reported back: delivered, bounced, complained."
    SUPPRESSION_ADDED = "suppression.added", "A contact point may not be used on a channel any more."
    PUSH_SUBSCRIBED = "push.subscribed", "A browser's push subscription was taken in, or told anew."
    PUSH_DROPPED = "push.dropped", "A push subscription was dropped, for the reason in the facts."
    VAPID_MADE = "vapid.made", "A key that signs pushes was made; browsers subscribe under it from here on."
    VAPID_RETIRED = "vapid.retired", "A key that signed pushes was destroyed; nobody was subscribed under it any more."
    SUPPRESSION_SYNCED = (
        "suppression.synced",
        "Opt-outs were exchanged with a provider's lists; facts hold counts, never who.",
    )
    SUPPRESSION_LIFTED = "suppression.lifted", "A suppression was taken back."
    # explain
    EXPLANATION_MADE = "explanation.made", "A decision was explained; facts hold the digest."
    EXPLANATIONS_TRIED = (
        "explanations.tried",
        "Reasons that were shown were tried to be proven wrong; refs name decisions whose reasons did not hold.",
    )
    HUMAN_REVIEW_ASKED = "human_review.asked", "A person asked that somebody looks at a significant decision."
    HUMAN_REVIEW_CLOSED = (
        "human_review.closed",
        "Somebody looked at a significant decision; facts hold what came of it.",
    )
    PROXY_ACCEPTED = (
        "proxy.accepted",
        "An officer lets a model use a feature that tells a sensitive attribute, for the reason in the facts.",
    )
    FEEDBACK_GIVEN = "feedback.given", "A person said of a decision that it does not interest them."
    IDENTITY_QUESTIONED = "identity.questioned", "A person said that a decision is not about them; staff must review."
    IDENTITY_REVIEWED = "identity.reviewed", "Somebody looked at a doubt about a person and closed it."
    # rights of people
    REQUEST_OPENED = "request.opened", "A person's request was opened and its clock began."
    REQUEST_APPROVED = "request.approved", "Staff approved a request."
    REQUEST_REFUSED = "request.refused", "Staff refused a request, for the reason in the facts."
    REQUEST_RUN = "request.run", "A request was carried out."
    REQUEST_REPEATED = "request.repeated", "The same was asked for again while the first request was open."
    REQUEST_CHECKED = "request.checked", "Somebody looked at who asks; facts hold the method and the verdict."
    REQUEST_REPLANNED = "request.replanned", "Who the person is changed after the approval: the plan is made anew."
    REQUEST_CONFIRMED = "request.confirmed", "The person was told that the request came in."
    REQUEST_EXTENDED = "request.extended", "The due date was moved, once, before it."
    REQUEST_ALARM = "request.alarm", "A request has used up the percentage of its time in the facts."
    REQUEST_ENDED = "request.ended", "A request was taken back or ran out without an answer from the person."
    REQUEST_INCOMPLETE = "request.incomplete", "Parts of the system did not answer; the request stays open."
    PROCESSOR_ADDED = "processor.added", "Somebody who gets data from us was noted, or changed."
    PROCESSOR_REMOVED = "processor.removed", "A processor gets nothing any more."
    PROCESSOR_KEPT = "processor.kept", "A processor acknowledged an erasure and holds the data still."
    LETTER_WRITTEN = "letter.written", "A processor is asked to do as the person asked."
    LETTER_ACKNOWLEDGED = "letter.acknowledged", "A processor says under signature that it is done."
    LETTER_ESCALATED = "letter.escalated", "A processor has been silent for a day; somebody must look."
    LETTER_TAKEN = (
        "letter.taken",
        "A provider that signs nothing took the job to erase somebody; nothing proves what it did.",
    )
    LETTER_PROVEN = "letter.proven", "A probe found that the processor did what it said."
    AGENT_ADDED = "agent.added", "Somebody may ask on behalf of people."
    AGENT_TOLD = "agent.told", "An agent was told how its request stands, or could not be reached for a week."
    AGENT_REMOVED = "agent.removed", "Somebody may not ask on behalf of people any more."
    PACKAGE_FETCHED = "package.fetched", "A package was opened with its link and code."
    ERASURE_DONE = "erasure.done", "A person's keys were destroyed; facts hold counts per room."
    HOLD_PLACED = "hold.placed", "A legal hold stops erasure of what it names."
    HOLD_LIFTED = "hold.lifted", "A legal hold ended."
    # who may do what, and who looked
    KEY_CREATED = "key.created", "An API key was made."
    KEY_REVOKED = "key.revoked", "An API key was revoked."
    STAFF_ADDED = "staff.added", "A staff actor was added."
    STAFF_REMOVED = "staff.removed", "A staff actor may not log in any more."
    STAFF_LOGIN = "staff.login", "A staff actor logged in."
    STAFF_LOGIN_REFUSED = "staff.login_refused", "A login was refused."
    READ_PERSONAL = "read.personal", "Personal words were shown to someone; facts hold purpose and ticket."
    EXPORT_MADE = "export.made", "Data left Candor in a file."
    # the installation's own secrets
    SECRET_ROTATED = (
        "secret.rotated",
        "A secret of the installation was made anew; facts hold its name, never the secret.",
    )
    SECRET_RETIRED = "secret.retired", "A secret that was rotated out was destroyed."
    KEY_COPY_NOTED = "key_copy.noted", "A copy of the keys database was noted, with the day on which it goes."
    KEY_COPY_GONE = "key_copy.gone", "A copy of the keys database is gone or cannot be opened any more; facts say how."
    KEYS_REMOVED = "keys.removed", "Bytes of destroyed keys left the disk; facts hold counts."
    # the log itself
    LOG_KEY_ROTATED = "log.key_rotated", "Checkpoints are signed by a new key from here on."
    LOG_KEY_REVOKED = "log.key_revoked", "A key of the log must be believed no longer; facts hold it and the reason."
    LOG_HEARTBEAT = "log.heartbeat", "Nothing else happened for a while; the log lives."
    SYSTEM_STARTED = "system.started", "A Candor process came up; facts hold versions."
    SYSTEM_RESTORED = "system.restored", "A backup was restored and erasures were run again."
