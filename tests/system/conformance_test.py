#!/usr/bin/env python3
"""The probes of the original: our answers may differ only where ours.jsonl says so."""
import json
import os
import subprocess
import sys

import doozer_system
from doozer_system import program

PROBES = os.path.join(doozer_system.TOP, 'tests', 'conformance')


class Conformance(doozer_system.SystemTest):

    def probe(self, *args, **options):
        return subprocess.run([sys.executable, os.path.join(PROBES, 'probe.py'), *args], text=True,
                              stderr=subprocess.PIPE, timeout=400,
                              env=doozer_system.clean_environment(TMPDIR=self.directory), **options)

    def test_every_probe_is_answered_as_the_original_or_as_ours_says(self):
        new = os.path.join(self.directory, 'new.jsonl')
        log = os.path.join(self.directory, 'server.log')
        spawn = '%s -l {addr} --data-dir {data} {args}' % program('doozerd')
        with open(os.path.join(PROBES, 'cases.jsonl')) as cases, open(new, 'w') as out:
            ran = self.probe('--spawn', spawn, '--port', str(doozer_system.free_port()),
                             '--server-log', log, stdin=cases, stdout=out)
        with open(log) as f:
            self.assertEqual(ran.returncode, 0, ran.stderr + f.read()[-3000:])
        compared = self.probe('--compare', os.path.join(PROBES, 'golden.jsonl'), new, '--ours',
                              os.path.join(PROBES, 'ours.jsonl'), stdout=subprocess.PIPE)
        self.assertEqual(compared.returncode, 0, compared.stdout + compared.stderr)
        counts = json.loads(compared.stdout.splitlines()[-1])
        self.assertEqual((counts['differ'], counts['skipped']), (0, 0))
        self.assertGreater(counts['cases'], 150)


if __name__ == '__main__':
    doozer_system.main()
