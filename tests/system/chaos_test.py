#!/usr/bin/env python3
"""The chaos that every test run has: each fault once, and a judge that is shown to judge.

    tests/system/chaos.py does more of it.
"""
import os
import re
import shutil
import tempfile
import unittest

import chaos
import chaos_faults
import chaos_world
import doozer_net
import doozer_system

OPERATIONS = 5_000  # a busy machine does few; an idle one does ten times as many
SEED = 'of every test run'


class Chaos(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        for name in ('doozerd', 'doozer-check'):
            doozer_system.program(name)
        doozer_net.prepare()
        cls.directory = tempfile.mkdtemp(prefix='doozer-chaos-')
        options = chaos.parse(['--brief', '--rounds', '1', '--operations', str(OPERATIONS), '--seed', SEED])
        try:
            cls.history = chaos.run(options, os.path.join(cls.directory, 'run'))
        except BaseException:
            print('history and logs are in', cls.directory)
            raise
        with open(cls.history) as f:
            cls.lines = f.read().splitlines()

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.directory)

    def test_what_clients_saw_is_linearizable(self):
        """The run itself: it fails in setUpClass."""
        self.assertGreaterEqual(len([line for line in self.lines if line.startswith('op ')]),
                                OPERATIONS)

    def judged_bad(self, lines):
        path = os.path.join(self.directory, 'forged')
        with open(path, 'w') as f:
            f.write('\n'.join(lines) + '\n')
        with self.assertRaises(AssertionError) as judged:
            chaos.judge(path)
        return str(judged.exception)

    def fields(self, line):
        return dict(word.split('=', 1) for word in line.split()[1:])

    def test_a_stale_read_in_this_history_would_be_found(self):
        """A linearizable read is made to tell what was there before an acknowledged write."""
        values = {}  # path -> what acknowledged SETs wrote: (completed, revision, value)
        for number, line in enumerate(self.lines):
            op = self.fields(line) if line.startswith('op ') else {}
            if op.get('outcome') != 'ok' or not op['path'].startswith('/chaos/always'):
                continue
            known = values.setdefault(op['path'], [])
            if op['kind'] == 'set':
                known.append((int(op['completed']), int(op['revision']), op['value']))
            elif op['kind'] == 'get' and op.get('linearizable') and op.get('value') and len(
                    before := sorted(w for w in known if w[0] < int(op['invoked']))) > 2:
                _, revision, value = min(before[:-1], key=lambda w: w[1])
                forged = re.sub(r' value=\S+', ' value=' + value, re.sub(
                    r' (store_)?rev(ision)?=\d+', '', line)) + ' revision=%d' % revision
                said = self.judged_bad([*self.lines[:number], forged, *self.lines[number + 1:]])
                self.assertRegex(said, r'order\.')
                return
        self.fail('no read in this history could have been stale')

    def test_a_lost_write_in_this_history_would_be_found(self):
        """An acknowledged write is made one that had been refused."""
        number, line = next((number, line) for number, line in enumerate(self.lines)
                            if line.startswith('op kind=set') and ' outcome=ok' in line)
        forged = re.sub(r' outcome=ok.*', ' outcome=refused code=read_only', line)
        self.judged_bad([*self.lines[:number], forged, *self.lines[number + 1:]])


class Proof(unittest.TestCase):
    """A fault that does nothing is no fault."""

    def test_a_fault_that_does_not_bite_fails_the_run(self):
        doozer_net.prepare()
        directory = tempfile.mkdtemp(prefix='doozer-chaos-')
        self.addCleanup(shutil.rmtree, directory)
        run = chaos.Run(chaos.parse(['--seed', SEED]), os.path.join(directory, 'run'))
        os.makedirs(run.directory)
        self.addCleanup(run.close)
        run.boot()
        run.world.PROOF_SECONDS = 2
        # Those who should break something are idle.
        run.world.net.cut = lambda *ways: None
        for clock in run.world.monotonic.values():
            clock.gain = clock.jump = lambda *_: None
        for name in ('cut', 'clock_rates', 'clock_jump'):
            with self.subTest(name), self.assertRaises(chaos_world.NotBitten):
                with chaos_faults.FAULTS[name](run.world):
                    self.fail('it took nothing for something')


if __name__ == '__main__':
    doozer_system.main()
