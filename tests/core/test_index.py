"""Index: what it finds, how full it gets, and what colliding hashes cannot do to it."""

from helpers import Random, raises

from edge_peer.core.store.index import LOCATION_MASK, Index

CAPACITY = 500


def filled(count, seed):
    index = Index(CAPACITY)
    random = Random(seed)
    locations = {}
    while len(locations) < count:
        key_hash = random.below(0x7FFFFFFE) * 2 + random.below(2)
        if key_hash not in locations:
            locations[key_hash] = len(locations) + 1
            index.add(key_hash, locations[key_hash])
    return index, locations, random


def check(index, locations, label):
    for key_hash in locations:
        assert locations[key_hash] in index.candidates(key_hash), label
    assert sorted(index.locations()) == sorted(locations.values()), label


def test_an_empty_index_has_no_candidates():
    index = Index(CAPACITY)
    assert index.candidates(0) == index.candidates(0xFFFFFFFF) == list(index.locations()) == []


def test_every_location_up_to_the_largest_is_kept():
    index = Index(CAPACITY)
    for location in (0, 1, LOCATION_MASK):
        index.add(0xFFFFFFFF - location, location)
        assert index.candidates(0xFFFFFFFF - location) == [location]
    assert sorted(index.locations()) == [0, 1, LOCATION_MASK]


def test_it_is_full_at_its_capacity_and_not_before():
    for seed in range(5):
        index, locations, _ = filled(CAPACITY, seed)
        check(index, locations, "seed %d" % seed)
        assert index._spilled == [], "seed %d" % seed


def test_a_false_candidate_is_rare():
    index, locations, random = filled(CAPACITY, 7)
    false_count = sum([len(index.candidates(random.below(0x7FFFFFFE))) for _ in range(2000)])
    assert false_count < 40, false_count  # 8 slots, 85 % full, 1023 tags: 13


def test_moved_and_removed_entries_are_found_where_they_are():
    for count in (CAPACITY, 2 * CAPACITY):
        for seed in range(3):
            index, locations, random = filled(count, seed)
            keys = list(locations)
            for step in range(1500):
                at = random.below(len(keys))
                key_hash = keys[at]
                if random.below(2):
                    index.remove(key_hash, locations.pop(key_hash))
                    keys[at] = keys[-1]
                    keys.pop()
                else:
                    index.move(key_hash, locations[key_hash], 10_000 + step)
                    locations[key_hash] = 10_000 + step
                if len(keys) < count // 2:
                    break
            check(index, locations, "count %d, seed %d" % (count, seed))


def test_more_than_the_capacity_is_slow_but_never_lost():
    index, locations, _ = filled(3 * CAPACITY, 3)
    check(index, locations, "seed 3")
    assert len(index._spilled) > 0
    for key_hash in list(locations):
        index.remove(key_hash, locations.pop(key_hash))
    check(index, locations, "seed 3")
    assert index._spilled == []


def test_keys_of_the_same_hash_are_all_kept():
    index = Index(CAPACITY)
    for location in range(1, 101):
        index.add(12345, location)
    assert sorted(index.candidates(12345)) == list(range(1, 101))
    index.move(12345, 50, 1000)
    index.remove(12345, 100)
    assert sorted(index.candidates(12345)) == [one for one in range(1, 100) if one != 50] + [1000]


def test_what_is_not_there_cannot_be_removed():
    index, _, _ = filled(10, 1)
    with raises(ValueError):
        index.remove(1, 999)
