#!/usr/bin/env python3
"""kill -9 in a loop, under load from several connections, and a checker over what was acknowledged.

Each round loads the server until it is killed without warning, starts it again (killing it a few
times more while it recovers) and reads back all history since the round before. Checked then:
every acknowledged write is an event with its path, revision and value; every event was asked for
by somebody and was not refused; revisions have no gap, no repeat and never go back; the files are
what the events make of them; the identity is the same.
"""
import random
import threading
import time

import doozer_system
from doozer_system import Closed

ROUNDS = 12
CONNECTIONS = 6
WINDOW = 16  # unanswered writes of a connection
KEYS = 40    # of each connection
SEED = 20


class Load(threading.Thread):
    """One connection that writes its own keys without a pause until the server is gone."""

    def __init__(self, server, number, round_number):
        super().__init__(daemon=True)
        self.server, self.number, self.round = server, number, round_number
        self.random = random.Random('%d %d %d' % (SEED, number, round_number))
        self.attempts = []  # (kind, path, value), in the order sent
        self.answers = {}   # place in attempts -> the answer
        self.failed = None

    def attempt(self, place):
        path = '/load/%d/%d' % (self.number, self.random.randrange(KEYS))
        value = '%d.%d.%d.' % (self.round, self.number, place)
        kind = self.random.choices(['set', 'del', 'refused'], [80, 12, 8])[0]
        if kind == 'set':
            value += 'x' * self.random.choice([0, 10, 200, 200, 3000])
            return (kind, path, value), dict(verb='SET', path=path, rev=-1, value=value)
        if kind == 'del':
            return (kind, path, ''), dict(verb='DEL', path=path, rev=-1)
        # Below a file that always exists: refused whatever the revision.
        path = '/load/anchor/%d' % place
        return (kind, path, value), dict(verb='SET', path=path, rev=-1, value=value)

    def run(self):
        try:
            with self.server.client() as c:
                while True:
                    data = b''
                    while len(self.attempts) - len(self.answers) < WINDOW:
                        place = len(self.attempts)
                        attempt, fields = self.attempt(place)
                        self.attempts.append(attempt)
                        data += c.request(tag=place, **fields)[0]
                    c.raw(data)
                    answer = c.receive()
                    self.answers[answer.get('tag', 0)] = answer
        except (Closed, OSError):
            pass  # the server was killed
        except Exception as e:  # anything else is a failure of the test
            self.failed = e


class Kill9(doozer_system.SystemTest):

    def test_nothing_acknowledged_is_lost_and_no_revision_is_reused(self):
        server = self.server('--value-bytes-max', '64KiB', '--segment-bytes', '256KiB',
                             '--snapshot-log-bytes', '512KiB').start()
        with server.client() as c:
            identity = c.call('SELF').value
            self.ok(c.set('/load/anchor', 'here', rev=0))
        chance = random.Random(SEED)
        self.files = {}    # path -> (value, revision), as the events made them
        self.checked = 0   # all events up to here were checked
        acknowledged = 0
        for round_number in range(ROUNDS):
            loads = [Load(server, n, round_number) for n in range(CONNECTIONS)]
            for load in loads:
                load.start()
            time.sleep(chance.uniform(0.2, 0.9))
            server.kill9()
            for load in loads:
                load.join(30)
                self.assertFalse(load.is_alive())
                self.assertIsNone(load.failed)
            for _ in range(chance.choice([0, 0, 1, 3])):
                server.spawn()
                time.sleep(chance.uniform(0, 0.08))
                server.kill9()
            server.start()
            acknowledged += self.check(server, loads, identity)
        self.assertGreater(acknowledged, ROUNDS * CONNECTIONS * 10, 'there was hardly any load')
        print('%d acknowledged writes, revision %d' % (acknowledged, self.checked))
        self.assertEqual(server.stop(), 0)

    def check(self, server, loads, identity):
        with server.client() as c:
            self.assertEqual(c.call('SELF').value, identity)
            revision = c.rev()
            self.assertGreaterEqual(revision, self.checked, 'the revision went back')
            events = c.events(self.checked + 1, revision)
            self.files_before = dict(self.files)
            self.assertEqual([e.rev for e in events],
                             list(range(self.checked + 1, revision + 1)), 'a gap or a repeat')
            for e in events:
                if e['flags'] == 4:
                    self.files[e['path']] = (e.value, e.rev)
                elif e['flags'] == 8:
                    self.files.pop(e['path'], None)
            found = {path: (value, rev) for path, value, rev in c.walk('/**')}
            self.assertEqual(set(found), set(self.files))
            for path, what in found.items():
                self.assertEqual(what, self.files[path], path)
        acknowledged = self.check_loads(loads, events)
        self.checked = revision
        return acknowledged

    def check_loads(self, loads, events):
        by_revision = {e.rev: e for e in events}
        asked = {}  # (path, value) of a SET -> how it was answered
        deleted = set()
        acknowledged = 0
        for load in loads:
            last = 0
            for place, (kind, path, value) in enumerate(load.attempts):
                answer = load.answers.get(place)
                if kind == 'refused':
                    if answer is not None:
                        self.assertEqual(answer.err, 'NOTDIR', answer)
                    asked[path, value] = 'refused'
                elif kind == 'del':
                    deleted.add(path)
                    if answer is not None:
                        self.ok(answer)
                        acknowledged += 1
                elif answer is None:
                    asked[path, value] = 'unknown'
                else:
                    self.ok(answer)
                    acknowledged += 1
                    asked[path, value] = 'acknowledged'
                    event = by_revision.get(answer.rev)
                    self.assertIsNotNone(event, 'acknowledged and lost: %s %r' % (path, answer))
                    self.assertEqual((event['path'], event['flags'], event.value.decode()),
                                     (path, 4, value), 'acknowledged with the wrong revision')
                    self.assertGreater(answer.rev, last, 'not in the order sent')
                    last = answer.rev
        for e in events:
            if not e['path'].startswith('/load/') or e['path'] == '/load/anchor':
                continue
            if e['flags'] == 8:
                self.assertIn(e['path'], deleted, 'deleted by nobody')
            else:
                how = asked.get((e['path'], e.value.decode()))
                self.assertIn(how, ('acknowledged', 'unknown'), 'event %r was %s' % (e, how))
        self.check_order(loads, events)
        self.check_last(loads)
        return acknowledged

    def check_order(self, loads, events):
        """What became an event of one connection did so in the order sent, and an acknowledged DEL
        stands between the SETs before it and those after."""
        place_of = {}
        for load in loads:
            for place, (kind, path, value) in enumerate(load.attempts):
                if kind == 'set':
                    place_of[path, value] = (load.number, place)
        last = {}     # connection -> place of its last event
        of_path = {}  # path -> places of its SET events, None for a DEL, as they happened
        for e in events:
            if e['flags'] == 8:
                of_path.setdefault(e['path'], []).append(None)
            elif (e['path'], e.value.decode()) in place_of:
                number, place = place_of[e['path'], e.value.decode()]
                self.assertGreater(place, last.get(number, -1), 'applied out of order')
                last[number] = place
                of_path.setdefault(e['path'], []).append(place)
        for load in loads:
            for place, (kind, path, _) in enumerate(load.attempts):
                if kind == 'del' and place in load.answers:
                    self.check_deleted(path, place, of_path.get(path, []))

    def check_deleted(self, path, place, happened):
        standing = -1 if path in self.files_before else None
        for event in happened:
            if event is not None and event > place:
                break
            standing = event
        self.assertIsNone(standing, 'an acknowledged DEL of %s did not happen' % path)

    def check_last(self, loads):
        """The files hold what the last acknowledged write of each left, or a later unknown one."""
        for load in loads:
            may_be = {}  # path -> the values that it may have now; None: no file
            for place, (kind, path, value) in enumerate(load.attempts):
                if kind == 'refused':
                    continue
                left = value if kind == 'set' else None
                if place in load.answers:
                    may_be[path] = [left]
                else:
                    may_be.setdefault(path, self.before(path)).append(left)
            for path, values in may_be.items():
                found = self.files.get(path)
                self.assertIn(found and found[0].decode(), values, path)

    def before(self, path):
        found = self.files_before.get(path)
        return [found and found[0].decode()]


if __name__ == '__main__':
    doozer_system.main()
