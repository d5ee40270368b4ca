#!/usr/bin/env python3
"""README.md does not lie: its ```sh blocks are run, in order, against a fresh server.

Each block is one shell with `set -eu`; the files that they make stay for the next. Commands of
`make` are not run here (they build this very tree); blocks of another kind are text.
"""
import os
import re
import subprocess

import doozer_system
from doozer_system import program

README = os.path.join(doozer_system.TOP, 'README.md')


def runnable_blocks(text):
    blocks = re.findall(r'(?ms)^```sh\n(.*?)^```$', text)
    return [b for b in blocks if not re.search(r'(?m)^\s*make ', b)]


class Readme(doozer_system.SystemTest):

    def test_every_command_of_the_readme_works(self):
        with open(README) as f:
            blocks = runnable_blocks(f.read())
        self.assertGreaterEqual(len(blocks), 2, 'README.md has no ```sh blocks')
        server = self.server().start()
        programs = os.path.join(self.directory, 'programs')
        os.makedirs(programs)
        for name in ('doozer', 'doozerd'):
            os.symlink(program(name), os.path.join(programs, name))
        environment = doozer_system.clean_environment(
            DOOZER_URI=server.address, PATH=programs + ':' + os.environ['PATH'])
        for block in blocks:
            with self.subTest(block.splitlines()[0]):
                ran = subprocess.run(['bash', '-eu', '-c', block], cwd=self.directory, text=True,
                                     stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
                                     env=environment)
                self.assertEqual(ran.returncode, 0, '%s\n%s%s' % (block, ran.stdout, ran.stderr))
                self.assertNotIn('not reached', ran.stdout)

    def test_links_of_the_readme_lead_somewhere(self):
        with open(README) as f:
            links = re.findall(r'\]\(([^)#:]+)(?:#[^)]*)?\)', f.read())
        self.assertTrue(links)
        for link in links:
            self.assertTrue(os.path.exists(os.path.join(doozer_system.TOP, link)), link)


if __name__ == '__main__':
    doozer_system.main()
