#!/usr/bin/env python3
"""What the limits promise: an unreasonable client is refused or cut, with a logged reason, and
everybody else is served as before."""
import os
import random
import resource
import select
import socket
import struct
import time

import doozer_system
from doozer_system import Client, Closed

MIB = 1 << 20


class Limits(doozer_system.SystemTest):

    def assert_serves(self, server, within=20.0):
        """A new client gets a write and a read done, soon."""
        begun = time.monotonic()
        with server.client() as c:
            self.ok(c.set('/alive', 'x'))
            self.assertEqual(self.ok(c.get('/alive')).value, b'x')
        self.assertLess(time.monotonic() - begun, within)

    # --- frames

    def test_a_frame_of_impossible_length_closes_that_connection_with_a_logged_reason(self):
        server = self.server().start()
        with server.client() as other:
            for length in (0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2 * MIB):
                with server.client() as c:
                    good, tag = c.request('REV')
                    c.raw(good + struct.pack('>I', length) + b'x' * 100)
                    self.ok(c.wait(tag))  # what came before is answered
                    self.assertTrue(c.closed_by_server(), 'length %#x' % length)
            self.ok(other.call('REV'))
        self.assertIsNotNone(server.log_has(r'"event":\s*"connection_closed"'), server.log())

    def test_a_half_frame_is_cut_and_an_idle_connection_is_not(self):
        server = self.server('--frame-complete-max', '300ms').start()
        idle = server.client()
        clients = []
        whole = idle.request('GET', path='/x')[0]
        for cut in range(1, len(whole)):
            clients.append(server.client())
            clients[-1].raw(whole[:cut])
        for c in clients:
            self.assertTrue(c.closed_by_server(timeout=5))
            c.close()
        self.ok(idle.call('REV'))
        idle.close()
        self.assert_serves(server)

    def test_a_frame_that_drips_in_is_answered(self):
        server = self.server().start()
        with server.client() as c:
            data, tag = c.request('SET', path='/drip', value='x', rev=-1)
            for byte in data:
                c.raw(bytes([byte]))
                time.sleep(0.001)
            self.ok(c.wait(tag))

    def test_values_and_paths_over_the_limit_are_refused_before_the_log(self):
        server = self.server('--value-bytes-max', '64KiB').start()
        with server.client() as c:
            self.ok(c.set('/max', b'v' * 65536))
            revision = c.rev()
            over = c.set('/over', b'v' * 65537)
            self.assertEqual(over.err, 'OTHER')
            self.assertRegex(over.detail, r'64\s?KiB|65536')
            self.assertIsNotNone(c.set('/' + 'p' * 5000, 'x').err)
            self.assertEqual(c.rev(), revision, 'a refused write takes no revision')
            self.assertEqual(self.ok(c.get('/over')).rev, 0)
            self.assertEqual(self.ok(c.get('/max')).value, b'v' * 65536)

    # --- connections

    def test_connections_over_the_limit_are_refused_and_room_is_given_again(self):
        server = self.server('--connections-max', '8').start()
        self.assert_connection_limit(server, 8)

    def test_connections_from_one_address_have_their_own_limit(self):
        server = self.server('--connections-per-address-max', '5').start()
        self.assert_connection_limit(server, 5)

    def assert_connection_limit(self, server, limit):
        time.sleep(0.2)  # the harness's own first connection is gone
        inside = [server.client() for _ in range(limit)]
        for c in inside:
            self.ok(c.call('REV'))
        with server.client() as c:
            self.assertTrue(c.closed_by_server())
        self.assertIsNotNone(server.log_has(r'"event":\s*"connection_refused"'), server.log())
        for c in inside:
            self.ok(c.call('REV'))
        inside.pop().close()
        self.eventually(lambda: self.is_served(server))
        for c in inside:
            c.close()

    def is_served(self, server):
        try:
            with server.client(timeout=2) as c:
                return c.call('REV').err is None
        except (OSError, Closed):
            return False

    def eventually(self, holds, seconds=10):
        deadline = time.monotonic() + seconds
        while not holds():
            self.assertLess(time.monotonic(), deadline, 'not in time')
            time.sleep(0.05)

    def test_without_file_descriptors_new_connections_are_refused_and_old_ones_go_on(self):
        # Small segments: preparing a large one costs a new server more than what is measured here.
        server = self.server('--segment-bytes', '2MiB', open_files=64).start()
        old = [server.client() for _ in range(10)]
        for c in old:
            self.ok(c.call('REV'))
        many = []
        for _ in range(150):
            try:
                many.append(server.client(timeout=1))
            except OSError:
                break
        self.assertIsNotNone(
            server.log_has(r'"event":\s*"connection_refused".*(descriptor|open files)'),
            server.log())
        begun = server.cpu_seconds()
        for i in range(20):
            self.ok(old[i % 10].set('/old/%d' % i, 'x' * 100_000))  # across a log segment, too
            time.sleep(0.05)
        self.assertLess(server.cpu_seconds() - begun, 0.8, 'it spins')
        self.assertLess(len(server.events('connection_refused')), 50, 'the log is flooded')
        for c in many:
            c.close()
        self.eventually(lambda: self.is_served(server))
        for c in old:
            self.ok(c.call('REV'))
            c.close()

    def test_ten_thousand_idle_connections(self):
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        count = min(10_000, hard - 500)
        if count < 2_000:
            self.skipTest('only %d file descriptors' % hard)
        server = self.server().start()
        before = server.rss_bytes()
        idle = []
        try:
            for _ in range(count):
                idle.append(server.client())
            for c in idle[::97] + idle[-1:]:
                self.ok(c.call('REV'))
            each = (server.rss_bytes() - before) / count
            print('%d idle connections, %d bytes each' % (count, each))
            self.assertLess(each, 16 * 1024)
            self.assert_serves(server)
            begun = server.cpu_seconds()
            time.sleep(1)
            self.assertLess(server.cpu_seconds() - begun, 0.6, 'idle connections cost time')
        finally:
            for c in idle:
                c.close()
        self.eventually(lambda: self.is_served(server))

    # --- floods

    def test_who_asks_for_a_mebibyte_many_times_and_reads_nothing_costs_under_8_mib(self):
        server = self.server('--unsent-stall-max', '4s').start()
        with server.client() as c:
            self.ok(c.set('/big', b'v' * MIB))
            for _ in range(5):
                self.assertEqual(len(self.ok(c.get('/big')).value), MIB)
        before = server.rss_bytes()
        slow = server.client(receive_buffer=4096)
        flood = b''.join(slow.request('GET', path='/big')[0] for _ in range(1000))
        slow.sock.setblocking(False)
        sent, most = 0, 0
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline and sent < 1000 * len(flood):
            try:
                sent += slow.sock.send(flood[sent % len(flood):])
            except BlockingIOError:
                select.select([], [slow.sock], [], 0.05)
            most = max(most, server.rss_bytes())
        self.assert_serves(server)
        most = max(most, server.rss_bytes())
        print('%d bytes of requests taken, %.1f MiB grown' % (sent, (most - before) / MIB))
        self.assertLess(most - before, 8 * MIB)
        self.eventually(lambda: server.log_has(r'"event":\s*"connection_closed"', 0) is not None,
                        seconds=15)
        slow.close()
        self.assert_serves(server)

    def test_a_slow_reader_that_reads_after_all_gets_every_answer(self):
        server = self.server().start()
        with server.client() as c:
            self.ok(c.set('/big', b'v' * 200_000))
        with server.client(receive_buffer=64 * 1024) as c:
            tags, data = [], b''
            for _ in range(100):
                request, tag = c.request('GET', path='/big')
                data += request
                tags.append(tag)
            c.raw(data)
            time.sleep(0.5)
            for tag in tags:
                self.assertEqual(len(self.ok(c.wait(tag)).value), 200_000)

    def test_more_requests_than_may_be_outstanding_are_all_answered(self):
        server = self.server('--outstanding-requests-max', '10').start()
        with server.client() as c:
            tags, data = [], b''
            for i in range(2_000):
                request, tag = c.request('SET', path='/o/%d' % (i % 7), value='%d' % i, rev=-1)
                data += request
                tags.append(tag)
            c.raw(data)
            revisions = [self.ok(c.wait(tag)).rev for tag in tags]
            self.assertEqual(revisions, sorted(revisions))

    def test_a_thousand_outstanding_requests_and_ten_thousand_waits_of_a_connection(self):
        server = self.server().start()
        with server.client() as c, server.client() as writer:
            now = c.rev()
            waits, data = [], b''
            for i in range(10_000):
                request, tag = c.request('WAIT', path='/w/%d' % (i % 100), rev=now + 1)
                data += request
                waits.append(tag)
            c.raw(data)
            self.ok(c.call('REV'))
            for i in range(100):
                self.ok(writer.set('/w/%d' % i, 'x'))
            for i, tag in enumerate(waits):
                answer = self.ok(c.wait(tag))
                self.assertEqual(answer['path'], '/w/%d' % (i % 100))

    def test_waits_over_the_limit_are_refused_and_the_others_go_on(self):
        server = self.server('--waits-per-connection-max', '10').start()
        with server.client() as c, server.client() as writer:
            now = c.rev()
            tags = [c.send('WAIT', path='/w', rev=now + 1) for _ in range(10)]
            over = c.call('WAIT', path='/w', rev=now + 1)
            self.assertEqual(over.err, 'OTHER')
            self.assertIn('10', over.detail)
            self.ok(writer.set('/w', 'x'))
            for tag in tags:
                self.ok(c.wait(tag))

    def test_garbage_harms_nobody_else(self):
        server = self.server('--frame-complete-max', '500ms').start()
        chance = random.Random(7)
        with server.client() as other:
            for i in range(300):
                size = chance.choice([1, 3, 4, 5, 20, 200, 5000])
                garbage = chance.randbytes(size)
                if i % 2:  # a plausible length, so that the message itself is parsed
                    garbage = struct.pack('>I', size) + garbage
                try:
                    with server.client() as c:
                        c.raw(garbage)
                        if i % 3 == 0:
                            c.sock.shutdown(socket.SHUT_WR)
                            c.closed_by_server(timeout=0.05)
                except (OSError, Closed):
                    pass
                if i % 50 == 0:
                    self.ok(other.set('/other', '%d' % i))
            self.ok(other.call('REV'))
        self.assertTrue(server.running(), server.log())
        self.assert_serves(server)

    def test_connections_that_come_and_go_leave_nothing_behind(self):
        server = self.server().start()

        def descriptors():
            return len(os.listdir('/proc/%d/fd' % server.pid))

        before = descriptors()
        for i in range(1_000):
            with server.client() as c:
                if i % 4:
                    c.send('WAIT', path='/never', rev=1 << 40)
                if i % 4 == 2:
                    c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        self.eventually(lambda: descriptors() <= before + 1)
        self.assert_serves(server)

    def test_a_flood_of_small_requests_does_not_starve_others(self):
        server = self.server().start()
        flooders = [server.client() for _ in range(8)]
        flood = b''.join(flooders[0].request('GET', path='/x', tag=1)[0] for _ in range(5_000))
        for c in flooders:
            c.sock.setblocking(False)
        deadline = time.monotonic() + 2
        with server.client() as other:
            worst = 0
            while time.monotonic() < deadline:
                for c in flooders:
                    for move in (lambda: c.sock.send(flood), lambda: c.sock.recv(1 << 20)):
                        try:
                            move()
                        except BlockingIOError:
                            pass
                begun = time.monotonic()
                self.ok(other.get('/x'))
                worst = max(worst, time.monotonic() - begun)
        print('worst read beside the flood: %.1f ms' % (worst * 1000))
        self.assertLess(worst, 0.5)
        for c in flooders:
            c.close()

    def test_a_half_closed_connection_gets_what_was_pending_and_is_closed(self):
        server = self.server().start()
        c = Client(server.address)
        requests = [c.request('SET', path='/h/%d' % i, value='x', rev=-1) for i in range(200)]
        wait, _ = c.request('WAIT', path='/never', rev=1)
        c.raw(wait + b''.join(data for data, _ in requests))
        c.sock.shutdown(socket.SHUT_WR)
        for _, tag in requests:
            self.ok(c.wait(tag))
        self.assertTrue(c.closed_by_server())
        c.close()


if __name__ == '__main__':
    doozer_system.main()
