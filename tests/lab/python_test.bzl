"""python_test: a unittest file, run by the system's Python. `env` is passed on: with
JETMON_LAB_DATABASE a test of the lab runs on another engine."""

def python_test(name, src, deps = [], data = [], **kwargs):
    native.sh_test(
        name = name,
        srcs = ["//tests/lab:run_python.sh"],
        args = ["$(location %s)" % src],
        data = [src, "//tests/lab:unittest_main.py"] + deps + data,
        **kwargs
    )
