"""rollout_test(name, deps): the unit test NAME.cc over a test database; seconds at most."""

def rollout_test(name, deps):
    native.cc_test(
        name = name,
        size = "small",
        timeout = "moderate",
        srcs = [name + ".cc"],
        deps = deps + [
            ":test_rollout",
            "//third_party/system:gtest_main",
        ],
    )
