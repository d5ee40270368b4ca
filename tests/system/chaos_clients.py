"""Clients that write down what they asked and what they were answered, for doozer-check to judge.

The text of a history is told in docs/simulation-checkers.md. Each client sits at one server and
uses no other, has one operation under way at a time, and one connection (a session) after the
other. Times are microseconds of the one monotonic clock of this machine.
"""
import itertools
import json
import random
import threading
import time

import doozer_system
from doozer_cluster import LINEARIZABLE, TELL_MORE, UNKNOWN
from doozer_system import Closed

ANSWER_SECONDS = 5    # the server says within 2 s what it knows; who does not is given up
RETRY_SECONDS = 0.02  # after an error
EPOCH_SECONDS = 2     # so long all meet at the same few files
HOT_FILES = 3
CODES = {'READONLY': 'read_only', 'REV_MISMATCH': 'revision_mismatch'}
sessions = itertools.count(1)


def now_us():
    return time.monotonic_ns() // 1000


def text_of(value):
    """As it stands in a history; ours have nothing else that would have to be told apart."""
    return value.replace(' ', '%20')


class Actor(threading.Thread):
    """A connection to its server, made anew whenever it is lost."""

    def __init__(self, number, server):
        super().__init__(daemon=True)
        self.number, self.server = number, server
        self.lines = []
        self.failed = None
        self.ended = threading.Event()
        self.client = None
        self.session = 0

    def run(self):
        try:
            while not self.ended.is_set():
                try:
                    if self.client is None:
                        self.client = self.server.client(timeout=ANSWER_SECONDS)
                        self.session = next(sessions)
                    self.act()
                except (OSError, Closed):
                    self.leave()
                    self.ended.wait(RETRY_SECONDS)
        except Exception as e:  # a bug of this file; the run fails with it
            self.failed = e
        finally:
            self.leave()

    def leave(self):
        if self.client is not None:
            self.client.close()
            self.client = None


class Writer(Actor):
    """Asks for one thing after the other."""

    def __init__(self, number, server, seed, begun):
        super().__init__(number, server)
        self.rng = random.Random('%s client %d' % (seed, number))
        self.begun = begun
        self.written = 0
        self.answered = 0  # operations that were answered without an error
        self.writes = 0    # of these, writes
        self.known = {}    # path -> revision, as last heard

    def new_value(self):
        self.written += 1
        return 'c%d-%d' % (self.number, self.written)

    def path(self):
        if self.rng.random() < 0.1:
            return '/chaos/always%d' % self.rng.randrange(2)
        epoch = int((time.monotonic() - self.begun) / EPOCH_SECONDS)
        return '/chaos/%d/%d' % (epoch, self.rng.randrange(HOT_FILES))

    def act(self):
        path, dice = self.path(), self.rng.random()
        if dice < 0.25:
            self.ask('get', path=path, mode=LINEARIZABLE)
        elif dice < 0.45:
            self.ask('get', path=path)
        elif dice < 0.5:
            self.ask('stat', path=path, mode=LINEARIZABLE)
        elif dice < 0.7:
            self.ask('set', path=path, value=self.new_value(), rev=-1)
        elif dice < 0.95:
            self.ask('set', path=path, value=self.new_value(), rev=self.known.get(path, 0))
        else:
            self.ask('del', path=path, rev=self.rng.choice((-1, self.known.get(path, 0))))

    def ask(self, kind, path, mode=0, value=None, rev=None):
        """One operation, from its invocation to its line in the history. Gives the answer."""
        write = kind in ('set', 'del')
        line = 'op kind=%s client=%d session=%d server=%s path=%s' % (
            kind, self.number, self.session, self.server.address, path)
        if kind == 'set':
            line += ' value=%s length=%d' % (text_of(value), len(value))
        if write and rev != -1:
            line += ' cas=%d' % rev
        if mode & LINEARIZABLE:
            line += ' linearizable=1'
        line += ' invoked=%d' % now_us()
        try:
            answer = self.client.call(kind.upper(), path=path, value=value, rev=rev,
                                      mode=mode | TELL_MORE)
        except (OSError, Closed):
            # A read that nobody answered changed nothing; a write may yet.
            self.lines.append('%s completed=%d outcome=%s' % (line, now_us(),
                                                              'unknown' if write else 'failed'))
            raise
        line += ' completed=%d' % now_us()
        self.lines.append(line + self.told(kind, path, answer))
        if answer.err is None:
            self.answered += 1
            self.writes += write
        elif write and answer.get('outcome') == UNKNOWN:
            raise Closed('this connection takes no further write')
        elif answer.err != 'REV_MISMATCH':
            self.ended.wait(RETRY_SECONDS)
        return answer

    def told(self, kind, path, answer):
        """The part of a line that the answer tells."""
        if answer.err is not None:
            unknown = kind in ('set', 'del') and answer.get('outcome') == UNKNOWN
            return ' outcome=%s code=%s' % ('unknown' if unknown else 'refused',
                                            CODES.get(answer.err, 'other'))
        out = ' outcome=ok'
        if kind != 'del':
            self.known[path] = answer.rev
            out += ' revision=%d' % answer.rev
        if kind == 'get' and answer.value:
            out += ' value=%s' % text_of(answer.value.decode())
        if kind == 'stat' and answer.get('len'):
            out += ' length=%d' % answer['len']
        if answer.get('store_rev'):
            out += ' store_rev=%d' % answer['store_rev']
        return out


class Reader(Writer):
    """Only reads: at a server that is cut off a write keeps its client waiting, and who waits cannot
    hear what a leader tells that does not know yet that it leads no more."""

    def act(self):
        kind = self.rng.choice(('get', 'get', 'stat'))
        self.ask(kind, path=self.path(), mode=self.rng.choice((LINEARIZABLE, LINEARIZABLE, 0)))
        self.ended.wait(0.002)  # reads are cheap: without this hardly anything else would be done


class Counter(Writer):
    """Reads a number and writes the next one: a write that is lost or repeated shows in the sum."""

    def act(self):
        read = self.ask('get', path='/counter', mode=LINEARIZABLE)
        if read.err is None:
            number = int(read.value.split()[0]) if read.value else 0
            value = '%d %s' % (number + 1, self.new_value())
            self.ask('set', path='/counter', value=value, rev=read.rev)
        self.ended.wait(RETRY_SECONDS)  # the others want their turn


class Watcher(Actor):
    """Hears every change that its server applies, in order, over all its lives."""

    GLOB = '/chaos/**'

    def __init__(self, number, server, stream):
        super().__init__(number, server)
        self.stream = stream
        self.lines.append('watch id=%d client=%d glob=%s' % (stream, number, self.GLOB))
        self.next = 1  # the first revision that it has not heard
        self.ask_again = False
        self.asked = None

    def note(self, text):
        self.lines.append('note watch=%d at=%d %s' % (self.stream, now_us(), text))

    def leave(self):
        super().leave()
        self.asked = None

    def act(self):
        if self.asked is None:
            if self.ask_again:
                self.note('kind=resumed revision=%d' % self.next)
            self.ask_again = True
            self.asked = self.client.send('WAIT', path=self.GLOB, rev=self.next)
        try:
            event = self.client.wait(self.asked, timeout=0.5)
        except TimeoutError:
            return  # nothing has happened; it goes on waiting
        self.asked = None
        if event.err == 'TOO_LATE':
            self.skip()
            return
        if event.err is not None:
            raise Closed('WAIT: %r' % event)
        text = 'revision=%d change=%s path=%s' % (event.rev, {4: 'set', 8: 'del'}[event['flags']],
                                                  event['path'])
        if event.value:
            text += ' value=%s' % event.value.decode()
        self.note(text)
        self.next = event.rev + 1
        self.asked = self.client.send('WAIT', path=self.GLOB, rev=self.next)


    def skip(self):
        """A server that has begun with a snapshot does not know what was before that."""
        oldest = json.loads(self.client.call('STATUS').value)['oldest_revision']
        self.next = max(self.next, oldest)
        self.note('kind=gap revision=%d' % self.next)
        self.ask_again = False


class Workload:
    """All clients, and the history that they write."""

    WRITERS = 2  # at each server, besides a reader, a counter and a watcher

    def __init__(self, servers, seed):
        self.begun = time.monotonic()
        numbers = itertools.count(1)
        self.writers = [kind(next(numbers), server, seed, self.begun) for server in servers
                        for kind in (*[Writer] * self.WRITERS, Reader, Counter)]
        self.watchers = [Watcher(next(numbers), server, stream)
                         for stream, server in enumerate(servers)]
        self.audit_lines = []

    def start(self):
        for actor in (*self.writers, *self.watchers):
            actor.start()

    def check(self):
        for actor in (*self.writers, *self.watchers):
            if actor.failed is not None:
                raise actor.failed

    def answered(self):
        return sum(w.answered for w in self.writers)

    def writes_at(self, server):
        return sum(w.writes for w in self.writers if w.server is server)

    def stop(self, actors):
        for actor in actors:
            actor.ended.set()
        for actor in actors:
            actor.join(3 * ANSWER_SECONDS)
            if actor.is_alive():
                raise AssertionError('client %d hangs' % actor.number)
        self.check()

    def audit(self, servers, wait_until):
        """After the last write: all these servers come to the same end, and tell the same files."""
        self.stop(self.writers)
        with servers[0].client() as c:
            begun = now_us()
            answer = c.set('/chaos/end', 'end', mode=TELL_MORE)
            if answer.err is not None:
                raise AssertionError('the last write: %r' % answer)
            last = answer.rev
            self.audit_lines.append('op kind=set path=/chaos/end value=end length=3 invoked=%d '
                                    'completed=%d outcome=ok revision=%d' % (begun, now_us(), last))
        watchers = [w for w in self.watchers if w.server in servers]
        for watcher in watchers:
            wait_until('%s has told its changes up to %d' % (watcher.server.address, last),
                       lambda: watcher.next > last)
        self.stop(self.watchers)
        for watcher in watchers:
            watcher.note('kind=through revision=%d' % last)
        for server in servers:
            with server.client() as c:
                begun = now_us()
                found = c.walk('/chaos/**', rev=last)
                self.audit_lines.append(
                    'op kind=walk server=%s path=/chaos/** at_rev=%d revision=%d invoked=%d '
                    'completed=%d outcome=ok%s' % (
                        server.address, last, last, begun, now_us(),
                        ''.join(' listed=%s@%d=%s' % (path, rev, value.decode())
                                for path, value, rev in found)))
        return last

    def history(self):
        actors = (*self.writers, *self.watchers)
        lines = [line for actor in actors for line in actor.lines] + self.audit_lines
        ops = [line for line in lines if line.startswith('op ')]
        ops.sort(key=lambda line: int(line.partition(' invoked=')[2].partition(' ')[0]))
        return '\n'.join([*ops, *(line for line in lines if not line.startswith('op '))]) + '\n'
