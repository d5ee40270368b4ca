"""How long are writes interrupted when something happens to the leader? The machinery of
bench/failover.py (Doozer) and compare_failover.py (Doozer beside etcd and ZooKeeper).

Three servers, each in a network namespace of its own, all with their data on one file system, with
their defaults. At each server two clients write, one write after the other, over a connection that
they keep. Something happens to one server; measured is, for each other server, the longest time
between two acknowledged writes of its clients, and the worst of these counts. The clients of
that one go on with the next server when they are told nothing good there.
"""
import http.client
import os
import shutil
import signal
import statistics
import struct
import tempfile
import threading
import time

import doozer_net
import doozer_system
from compare_partitions import SYSTEMS
from doozer_cluster import wait_until

BUILD = os.path.join(doozer_system.TOP, 'build')  # on a real file system, where /tmp may be none
COUNT = 3
CLIENTS_EACH = 2
ANSWER_SECONDS = 0.2  # then a client opens a new connection and asks again
PAUSE_SECONDS = 0.002
BEFORE_SECONDS = 0.1  # of the time before it happens that is looked at, too
AFTER_SECONDS = 0.5   # and of undisturbed writing afterwards
BACK_SECONDS = 60


class Writer(threading.Thread):

    def __init__(self, trial, order):
        super().__init__(daemon=True)
        self.trial, self.order, self.at = trial, order, 0
        self.acknowledged = []  # when
        self.lost, self.refused = [], []  # when: no answer or an unknown outcome; surely not done
        self.ended = threading.Event()

    @property
    def home(self):
        return self.order[0]

    def run(self):
        session = None
        while not self.ended.is_set():
            begun = False
            try:
                if session is None:
                    session = self.trial.system.session(self.order[self.at % COUNT], ANSWER_SECONDS)
                begun = True
                outcome = session.write()
            except (OSError, http.client.HTTPException, doozer_system.Closed, struct.error):
                outcome = 'lost' if begun else 'away'
            if outcome == 'done':
                self.acknowledged.append(time.monotonic())
                time.sleep(PAUSE_SECONDS)
                continue
            if outcome in ('lost', 'refused'):
                getattr(self, outcome).append(time.monotonic())
            if session is not None:
                session.close()
                session = None
            if self.order[self.at % COUNT] == self.trial.victim:
                self.at += 1
            time.sleep(PAUSE_SECONDS)
        if session is not None:
            session.close()


def longest_gap(writers, begin, end):
    """In seconds, of the writes of all of them together."""
    times = sorted(t for w in writers for t in w.acknowledged if begin < t < end)
    return max(b - a for a, b in zip([begin, *times], [*times, end]))


class Round:
    """One time that something happens."""

    def __init__(self):
        self.elsewhere = 0.0  # the longest interruption of a server's clients, but for the victim's
        self.at_victim = 0.0  # of the clients that sat there, and go on elsewhere
        self.lost = self.refused = 0
        self.bit = True  # if the leader was to lose leadership: it did
        self.handing_over = None  # of a leader that was stopped, as its log has it


class Trial:
    """A running cluster of one system, to which things happen."""

    def __init__(self, name):
        self.net = doozer_net.Net(COUNT)
        self.victim = None
        self.directory = tempfile.mkdtemp(prefix='failover-',
                                          dir=os.environ.get('DOOZER_BENCH_DIR', BUILD))
        self.system = SYSTEMS[name](self.net, self.directory)

    def __enter__(self):
        self.system.start()
        wait_until('writes at each server', lambda: self.system.tries(self.system.ready), 60)
        return self

    def __exit__(self, *_):
        self.system.close()
        self.net.close()
        shutil.rmtree(self.directory)

    def leader(self):
        def found():
            told = [self.system.tries(self.system.leader, n) for n in range(COUNT)]
            leading = [n for n, one in enumerate(told) if one and one[1]]
            return leading if len(leading) == 1 and all(told) else None
        return wait_until('one leader', found, BACK_SECONDS)[0]

    def happens(self, what):
        writers = [Writer(self, [(n + k) % COUNT for k in range(COUNT)])
                   for n in range(COUNT) for _ in range(CLIENTS_EACH)]
        for writer in writers:
            writer.start()
        time.sleep(1)
        leader = self.leader()
        self.victim = victim = leader if what is not kill_follower else (leader + 1) % COUNT
        begun = time.monotonic()
        what(self, victim)
        others = {n: [w for w in writers if w.home == n] for n in range(COUNT) if n != victim}
        wait_until('writes at the other servers', lambda: all(
            any(w.acknowledged and w.acknowledged[-1] > begun + AFTER_SECONDS for w in group)
            for group in others.values()), BACK_SECONDS)
        end = time.monotonic()
        told = Round()
        if what not in (nothing, kill_follower):
            told.bit = any((self.system.tries(self.system.leader, n) or (0, False))[1]
                           for n in others)
        told.elsewhere = max(longest_gap(g, begun - BEFORE_SECONDS, end) for g in others.values())
        told.at_victim = longest_gap([w for w in writers if w.home == victim],
                                     begun - BEFORE_SECONDS, end)
        told.lost = sum(t > begun for w in writers for t in w.lost)
        told.refused = sum(t > begun for w in writers for t in w.refused)
        for writer in writers:
            writer.ended.set()
        for writer in writers:
            writer.join()
        if what is stop_leader:
            told.handing_over = self.system.handing_over(victim)
        self.mend(victim)
        return told

    def mend(self, victim):
        self.victim = None
        self.net.heal()
        self.system.go_on(victim)
        if self.system.is_gone(victim):
            self.system.restart(victim)
        wait_until('writes at each server', lambda: self.system.tries(self.system.ready),
                   BACK_SECONDS)


def nothing(trial, victim):
    del trial, victim


def kill_leader(trial, victim):
    trial.system.end(victim, signal.SIGKILL)


def kill_follower(trial, victim):
    trial.system.end(victim, signal.SIGKILL)


def stop_leader(trial, victim):
    trial.system.end(victim, signal.SIGTERM)


def pause_leader(trial, victim):
    trial.system.processes[victim].send_signal(signal.SIGSTOP)


def leader_vanishes(trial, victim):
    trial.net.vanish(victim)


EVENTS = {  # name: (what is said of it, what happens)
    'nothing': ('nothing happens', nothing),
    'kill': ('kill -9 of the leader', kill_leader),
    'term': ('SIGTERM of the leader', stop_leader),
    'pause': ('SIGSTOP of the leader', pause_leader),
    'vanish': ("the leader's machine vanishes", leader_vanishes),
    'follower': ('kill -9 of a follower', kill_follower),
}
HEAD = '%-10s %-30s %4s | %28s | %28s | %6s %8s' % (
    'system', 'what happens', 'runs', 'other clients, ms: median',
    "victim's clients, ms: median", 'lost', 'refused')


def milliseconds(values):
    return '%8.0f (%.0f to %.0f)' % tuple(
        1000 * v for v in (statistics.median(values), min(values), max(values)))


def report_handing_over(rounds):
    told = [1000 * r.handing_over for r in rounds if r.handing_over is not None]
    if told:
        print('%45d   | %.1f ms (%.1f to %.1f) by the log, from the signal until another leads' % (
            len(told), statistics.median(told), min(told), max(told)), flush=True)


def report(name, event, rounds):
    print('%-10s %-30s %4d | %28s | %28s | %6d %8d' % (
        name, EVENTS[event][0], len(rounds), milliseconds([r.elsewhere for r in rounds]),
        milliseconds([r.at_victim for r in rounds]), sum(r.lost for r in rounds),
        sum(r.refused for r in rounds)), flush=True)


def measure(name, events, runs):
    """Prints a line for each event; gives the rounds of each."""
    told = {}
    with Trial(name) as trial:
        for event in events:
            told[event] = []
            while len(told[event]) < runs:
                one = trial.happens(EVENTS[event][1])
                if one.bit:
                    told[event].append(one)
                else:
                    print('%s, %s: the leader stayed; done again' % (name, event), flush=True)
            report(name, event, told[event])
            report_handing_over(told[event])
    return told
