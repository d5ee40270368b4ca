#!/usr/bin/env python3
"""docs/fire-drill.md does not lie: its ```sh blocks are run in order, by one shell, and what each
prints is compared with the ```text block behind it.

Compared are the lines, in any order (servers are listed by identity, which is random), without
what differs from run to run: numbers, identities, which server it is. `...` stands for any lines.
"""
import collections
import os
import re
import socket
import subprocess

import doozer_system
from doozer_system import program

PAGE = os.path.join(doozer_system.TOP, 'docs', 'fire-drill.md')
DRILL_SECONDS = 300  # half a minute, and ten times that where others are at work
BLOCK = re.compile(r'(?ms)^```sh\n(.*?)^```\n(?:\s*^```text\n(.*?)^```$)?')
MARK = '@@ block'


def ports_of_our_own():
    """All but the last digit of ports that nobody uses, as 904 is on the page."""
    while True:
        prefix = str(doozer_system.free_port() // 10)
        sockets = [socket.socket() for _ in range(4)]
        try:
            for n, s in enumerate(sockets, 1):
                s.bind(('127.0.0.1', int('%s%d' % (prefix, n))))
            return prefix
        except OSError:
            continue
        finally:
            for s in sockets:
                s.close()


def without_what_differs(line):
    if line.startswith('exit status'):
        return line
    for pattern, instead in ((r'127\.0\.0\.1:\d+', 'SERVER'), (r'\bd\d\b', 'DIRECTORY'),
                             (r'\b[A-Z2-7]{16}\b', 'IDENTITY'), (r'\b[0-9a-f]{16,}\b', '#'),
                             (r'(?<= )-(?= |$)', '#'), (r'\d[\w.]*', '#'),
                             (r'\b(direct|flapping)\b', 'LINK'), (r'\s+', ' ')):
        line = re.sub(pattern, instead, line)
    return line.strip()


def lines_of(text):
    return collections.Counter(without_what_differs(line) for line in text.splitlines() if line)


class FireDrill(doozer_system.SystemTest):

    def drill(self, blocks):
        """What each of the blocks printed."""
        prefix = ports_of_our_own()
        programs = os.path.join(self.directory, 'programs')
        os.makedirs(programs)
        for name in ('doozer', 'doozerd', 'doozer-inspect'):
            os.symlink(program(name), os.path.join(programs, name))
        # However it ends, the servers that it started end with it.
        script = 'trap \'kill -9 $(jobs -p) 2>/dev/null\' EXIT\ntrap "exit 1" TERM\n' + ''.join(
            'echo "%s %d" | tee /dev/stderr\n%s' % (MARK, number, block.replace('904', prefix))
            for number, block in enumerate(blocks))
        path = os.path.join(self.directory, 'said')
        with open(path, 'w') as said, open(path + '.errors', 'w') as errors:
            shell = subprocess.Popen(
                ['bash', '-eu', '-c', script], cwd=self.directory, stdout=said, stderr=errors,
                stdin=subprocess.DEVNULL, env=doozer_system.clean_environment(
                    PATH=programs + ':' + os.environ['PATH'], TMPDIR=self.directory))
            try:
                status = shell.wait(DRILL_SECONDS)
            except subprocess.TimeoutExpired:
                shell.terminate()
                status = shell.wait(doozer_system.STOP_SECONDS)
        with open(path) as said, open(path + '.errors') as errors:
            told = said.read()
            self.assertEqual(status, 0, told + errors.read())
        return re.split(r'(?m)^%s \d+\n' % MARK, told)[1:]

    def test_every_command_of_the_page_works_and_prints_what_the_page_shows(self):
        with open(PAGE) as f:
            blocks = BLOCK.findall(f.read())
        self.assertGreaterEqual(sum(expected != '' for _, expected in blocks), 15)
        printed = self.drill([commands for commands, _ in blocks])
        self.assertEqual(len(printed), len(blocks))
        for (commands, expected), told in zip(blocks, printed):
            if not expected:
                continue
            with self.subTest(commands):
                wanted, found = lines_of(expected), lines_of(told)
                more_may_come = wanted.pop('...', 0) > 0
                self.assertEqual(wanted - found, collections.Counter(), 'missing in\n' + told)
                if not more_may_come:
                    self.assertEqual(found - wanted, collections.Counter(), 'too much in\n' + told)


if __name__ == '__main__':
    doozer_system.main()
