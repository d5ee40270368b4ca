#!/usr/bin/env python3
"""Rolling upgrades of real servers: a mixed cluster of this version and a later one under load.

The later version (tests/upgrade/next.patch) has a command, a section of snapshots and a field of a
peer message that this one does not know. It may use them once all servers know them, not before.
"""

import doozer_cluster
import doozer_system
from doozer_cluster import Load, wait_until

NEXT = 'doozerd-next'
# So that snapshots are taken, and sent to those who attach, in a short test.
OFTEN = ['--snapshot-log-bytes', '64KiB']


class Upgrade(doozer_cluster.ClusterTest):

    def change_to(self, server, name, load):
        self.assertEqual(server.stop(), 0, server.log())
        load.go_on(20)
        server.program = name
        server.start()
        load.go_on(20)

    def raised(self, servers):
        return [e for server in servers for e in server.events('cluster_version_raised')]

    def upgraded(self):
        """A cluster that was upgraded under load, and is of version 2."""
        servers = self.cluster(3, *OFTEN)
        with Load(self, servers) as load:
            for server in servers[:2]:
                self.change_to(server, NEXT, load)
            self.assertEqual(self.raised(servers), [], 'one of them does not know version 2')
            # Until then it can be taken back.
            self.change_to(servers[0], 'doozerd', load)
            self.change_to(servers[0], NEXT, load)
            self.assertEqual(self.raised(servers), [])
            self.change_to(servers[2], NEXT, load)
            wait_until('the version is raised', lambda: self.raised(servers))
            wait_until('both others tell of the new command', lambda: all(
                any(e['server'] == self.identity(other) for server in servers
                    for e in server.events('peer_marks'))
                for other in servers if other is not self.leader(servers)))
            load.go_on(50)
        self.assertEqual([e['version'] for e in self.raised(servers)], [2])
        self.check_load(servers, load)
        return servers

    def check_load(self, servers, load):
        for writer in load.writers:
            self.assertEqual(writer.unknown, [], 'a write that nobody may repeat')
        self.check_kept(servers, load.acknowledged())
        for server in servers:
            for event in ('quarantined', 'digests_disagree', 'peer_message_bad', 'replica_dead'):
                self.assertEqual(server.events(event), [], server.log())

    def test_a_rolling_upgrade_under_load_fails_no_write_and_ends_in_the_new_version(self):
        servers = self.upgraded()
        # The new section of snapshots is read at a start, and by one who attaches.
        wait_until('a snapshot', lambda: all(server.events('snapshot_taken') for server in servers))
        for server in servers:
            server.process.kill()
        for server in servers:
            server.process.wait()
        for server in servers:
            server.start()
        fourth = self.server(*OFTEN, '-a', servers[0].address)
        fourth.program = NEXT
        fourth.start()
        wait_until('the fourth has what the others have', lambda: self.status(fourth)['digest'] and
                   self.status(fourth)['revision'] == self.status(servers[0])['revision'])
        with Load(self, [*servers, fourth]) as load:
            load.go_on(50)
        self.check_load([*servers, fourth], load)

    def test_the_old_version_refuses_what_the_new_one_left_and_harms_nothing(self):
        servers = self.upgraded()
        with Load(self, servers[:2]) as load:
            last = servers[2]
            self.assertEqual(last.stop(), 0)
            last.program = 'doozerd'
            last.spawn()
            self.assertEqual(last.process.wait(doozer_system.ANSWER_SECONDS), 1, last.log())
            self.assertRegex(last.log(), 'cannot_start.*a newer doozerd is needed')
            load.go_on(20)
            # Nor can one of the old version join.
            old = self.server(*OFTEN, '-a', servers[0].address)
            old.spawn()
            self.assertEqual(old.process.wait(doozer_system.ANSWER_SECONDS), 1, old.log())
            self.assertRegex(old.log(), 'a newer doozerd is needed')
            load.go_on(20)
            last.program = NEXT
            last.start()
            load.go_on(20)
        self.check_load(servers, load)


if __name__ == '__main__':
    doozer_system.main()
