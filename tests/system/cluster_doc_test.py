#!/usr/bin/env python3
"""docs/cluster.md does not lie: its ```sh blocks are run in order, by one shell, with free ports."""
import os
import re
import subprocess

import doozer_system
from doozer_system import program

PAGE = os.path.join(doozer_system.TOP, 'docs', 'cluster.md')


class ClusterPage(doozer_system.SystemTest):

    def test_every_command_of_the_page_works(self):
        with open(PAGE) as f:
            blocks = re.findall(r'(?ms)^```sh\n(.*?)^```$', f.read())
        self.assertGreaterEqual(len(blocks), 6)
        ports = {}
        while len(ports) < 5:
            free = str(doozer_system.free_port())
            if free not in ports.values():
                ports['904%d' % (len(ports) + 1)] = free
        page = re.sub(r'(?<=127\.0\.0\.1:)904\d', lambda found: ports[found.group()],
                      ''.join('echo "== block %d" >&2\n%s' % at for at in enumerate(blocks)))
        programs = os.path.join(self.directory, 'programs')
        os.makedirs(programs)
        for name in ('doozer', 'doozerd'):
            os.symlink(program(name), os.path.join(programs, name))
        environment = doozer_system.clean_environment(
            PATH=programs + ':' + os.environ['PATH'])
        # However it ends, the servers that it started end with it.
        script = 'trap \'kill -9 $(jobs -p) 2>/dev/null\' EXIT\ntrap "exit 1" TERM\n' + page
        with open(os.path.join(self.directory, 'said'), 'w+') as said:
            shell = subprocess.Popen(['bash', '-eu', '-c', script], cwd=self.directory, stdout=said,
                                     stderr=said, stdin=subprocess.DEVNULL, env=environment)
            try:
                status = shell.wait(90)
            except subprocess.TimeoutExpired:
                shell.terminate()
                status = shell.wait(30)
            said.seek(0)
            told = said.read()
        self.assertEqual(status, 0, told)
        self.assertNotIn('not reached', told)


if __name__ == '__main__':
    doozer_system.main()
