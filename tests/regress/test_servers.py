"""What a server of each kind does that signet stands on, and where they differ."""
import pytest

from peer import as_peer, fetch_items
from world import Failed

pytest_plugins = ["server_fixtures"]


def test_a_friend_sees_what_a_stranger_does_not(served, people):
    owner, friend, stranger = people(3, friends=[(0, 1)], tokens=[0])
    owner.signet("key", "new", "--token", owner.name, "--label", "user", "--user", "--account", owner.jid, "--algorithm",
                 "p256", "--pin-file", served.dir / "pin")
    assert owner.online()["state"] == "online"
    owner.signet("publish", owner.jid)
    assert len(friend.signet("keyring", "fetch", owner.jid, "--account", friend.jid, *friend.password)["keys"]) == 1
    with pytest.raises(Failed):
        stranger.signet("keyring", "fetch", owner.jid, "--account", stranger.jid, *stranger.password)
    assert len(fetch_items(served, friend.name, owner.jid)) == 1
    assert isinstance(fetch_items(served, stranger.name, owner.jid), str)
