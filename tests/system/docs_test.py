#!/usr/bin/env python3
"""The pages say what is there: their links lead somewhere, they name every event of the log and no
other, and every option that they name is one of a program's."""
import os
import re
import subprocess
import unittest

import doozer_system
from doozer_system import program

TOP = doozer_system.TOP
SHIPPED_ROOMS = ('base', 'cmd', 'core', 'door', 'io', 'raft', 'server', 'storage',
                 'transport')
# Options of other programs (make, cmake, pkg-config, gtest; the simulator) that pages show.
OF_OTHERS = {'prefix', 'install', 'cflags', 'libs', 'gtest_filter', 'now', 'digests', 'plan',
             'print', 'seed', 'shrink', 'trace'}


def read(*path):
    with open(os.path.join(TOP, *path), encoding='utf-8') as f:
        return f.read()


def pages():
    names = ['README.md', 'CHANGELOG.md']
    for folder in ('docs', 'docs/decisions', 'tests'):
        names += [os.path.join(folder, name) for name in sorted(os.listdir(os.path.join(TOP, folder)))
                  if name.endswith('.md')]
    return names


def help_of(name, *words):
    ran = subprocess.run([program(name), *words], capture_output=True, text=True, timeout=30,
                         check=True)
    return ran.stdout


class Docs(unittest.TestCase):

    def test_links_lead_somewhere(self):
        seen = 0
        for page in pages():
            for link in re.findall(r'\]\(([^)#:]+)(?:#[^)]*)?\)', read(page)):
                seen += 1
                target = os.path.join(TOP, os.path.dirname(page), link)
                self.assertTrue(os.path.exists(target), '%s: %s' % (page, link))
        self.assertGreater(seen, 10)

    def test_every_event_of_the_log_is_in_the_operators_table_and_no_other(self):
        logged = set()
        for room in SHIPPED_ROOMS:
            for name in os.listdir(os.path.join(TOP, room)):
                if name.endswith('.cc') and not name.endswith('_test.cc'):
                    for event in re.findall(  # one name, or a choice of two
                            r'\blog(?:ger)?_?(?:\(\))?(?:->|\.)(?:info|warn|error)\(([^,{]*)',
                            read(room, name)):
                        logged.update(re.findall(r'"(\w+)"', event))
        text = read('docs', 'operating.md')
        start = text.index('| event | level |')
        table = text[start:text.index('\n\n', start)].splitlines()[2:]
        told = set()
        for row in table:
            told.update(re.findall(r'`(\w+)`', row.split('|')[1]))
        self.assertGreater(len(logged), 20)
        self.assertEqual(sorted(logged - told), [], 'logged, and not told')
        self.assertEqual(sorted(told - logged), [], 'told, and never logged')

    def test_every_option_that_a_page_names_exists(self):
        manual = re.sub(r'\\f.|\\(?=-)', '', help_of('doozer', 'man'))
        known = (help_of('doozerd', '--help') + manual + help_of('doozer-inspect', '--help') +
                 help_of('doozer-inspect', 'salvage', '--help'))
        options = set(re.findall(r'(?<![\w-])--([a-z][a-z_-]+)', known))
        for page in pages():
            for option in re.findall(r'(?<![\w-])--([a-z][a-z_-]+)', read(page)):
                self.assertIn(option, options | OF_OTHERS, '%s: --%s' % (page, option))


if __name__ == '__main__':
    doozer_system.main()
