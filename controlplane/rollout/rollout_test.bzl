"""rollout_test(name, deps, tags): the unit test NAME.cc over a test database; seconds at most."""

def rollout_test(name, deps, tags = []):
    native.cc_test(
        name = name,
        size = "small",
        timeout = "moderate",
        srcs = [name + ".cc"],
        tags = tags,
        deps = deps + [
            ":test_rollout",
            "//third_party/system:gtest_main",
        ],
    )
