"""Every test that tests/semantics.md names exists, so that the list cannot rot."""
import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]


class SemanticsList(unittest.TestCase):
    def test_every_test_named_in_the_list_exists(self):
        known = set()
        for source in ROOT.glob("*/*_test.cc"):
            for suite, name in re.findall(r"^TEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\)", source.read_text(), re.M):
                known.add(f"{suite}.{name}")
        for source in (ROOT / "tests/system").glob("*_test.py"):
            known.update(re.findall(r"^    def (test_\w+)", source.read_text(), re.M))
        text = (ROOT / "tests/semantics.md").read_text()
        rows = [line for line in text.splitlines() if line.startswith("| ") and "---" not in line]
        named = set()
        for row in rows:
            cells = row.strip("| ").split(" | ")
            if cells[-1] == "test":
                continue
            tests = re.findall(r"`([A-Z]\w+\.\w+|test_\w+)`", cells[-1])
            self.assertTrue(tests, f"no test is named for: {cells[0]}")
            named.update(tests)
        self.assertEqual(sorted(named - known), [])
        self.assertGreater(len(named), 100)


if __name__ == "__main__":
    unittest.main()
