"""aggregate(name, deps, srcs, hdrs, test_deps, test_tags): NAME.cc, NAME.h and NAME_test.cc of one
aggregate of the store."""

def aggregate(name, deps = [], srcs = [], hdrs = [], test_deps = [], test_tags = []):
    native.cc_library(
        name = name,
        srcs = [name + ".cc"] + srcs,
        hdrs = [name + ".h"] + hdrs,
        deps = deps + [
            ":ids",
            ":range",
            ":rows",
            "//store/sql",
            "//third_party/system:absl",
        ],
    )
    native.cc_test(
        name = name + "_test",
        size = "small",
        srcs = [name + "_test.cc"],
        tags = test_tags,
        deps = test_deps + [
            ":" + name,
            ":test_database",
            "//third_party/system:gtest_main",
        ],
    )
