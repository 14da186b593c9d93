"""`schemathesis run` on the served contract, with a few examples an operation; `make schemathesis` takes 200."""
import run


def test_schemathesis(tmp_path):
    code, text, _ = run.run(tmp_path, "-n", "2", "--workers", "1")
    assert code == 0, text[-6000:]
