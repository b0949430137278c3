from mainspring.ai import Usage


def test_counts_add_up():
    assert Usage(1, 2, "provider") + Usage(3, 4, "provider") == Usage(4, 6, "provider")


def test_a_sum_with_a_part_missing_is_not_known():
    assert Usage(1, None, "provider") + Usage(3, 4, "provider") == Usage(4, None, "provider")
    assert (Usage(1, 2, "provider") + Usage()).total is None


def test_a_sum_from_several_sources_names_none():
    assert (Usage(1, 2, "provider") + Usage(3, 4, "exact")).source == "unknown"
