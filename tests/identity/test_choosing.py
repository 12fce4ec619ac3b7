"""Which keys a large table is compared by: chosen by what they find, and kept with the model."""

import json

import pytest

from identity import batch
from identity.batch import prepare
from identity.kinds import Overrides, infer
from identity.training import LinkageModel
from tests.identity.linkage_world import world


@pytest.fixture(scope="module")
def trained():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch, "FEW", 0)  # as if there were too many pairs to weigh them all
        table = world(60)
        prepared = prepare(table, infer(table, Overrides(record_id="rec", ignore=["who"])))
        return prepared, prepared.train()


def test_a_model_of_a_large_table_says_by_which_keys_to_compare_and_says_so_again_when_read(trained):
    prepared, model = trained
    assert 0 < len(model.keys) < len(prepared.parts)
    again = LinkageModel.from_json(json.loads(json.dumps(model.as_json())))
    assert again == model
    mine, theirs = prepared.edges(model), prepared.edges(again)
    assert (mine.left.tolist(), mine.weight.tolist()) == (theirs.left.tolist(), theirs.weight.tolist())


def test_only_the_models_keys_are_compared_by(trained):
    prepared, model = trained
    fewer = LinkageModel(model.settings, model.kin, model.trained, (("email", 1, 4),))
    found = prepared.edges(fewer)
    mails = dict(enumerate(prepared.cleaned.fields["email"].coded.codes.tolist()))
    place = {row: at for at, row in enumerate(prepared.order.tolist())}
    ends = zip(found.left.tolist(), found.right.tolist(), strict=True)
    assert len(found.left)
    assert all(mails[place[a]] == mails[place[b]] >= 0 for a, b in ends)
    assert len(found.left) < len(prepared.edges(model).left)


def test_a_model_of_before_has_no_keys_and_chooses(trained):
    prepared, model = trained
    told = model.as_json()
    del told["keys"]
    old = LinkageModel.from_json(told)
    assert old.keys == ()
    assert prepared.edges(old).left.tolist() == prepared.edges(model).left.tolist()
