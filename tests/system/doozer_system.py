"""The harness of the system tests: a real doozerd on loopback, and a raw client of its protocol.

Standard library only. The programs under test come from the environment: DOOZERD_BIN, DOOZER_BIN,
DOOZER_INSPECT_BIN (ctest sets them; by default build/release/cmd). A test that needs what is not
there (root, openssl, a program) is skipped and says why.
"""
import collections
import json
import os
import random
import re
import resource
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

VERBS = dict(GET=1, SET=2, DEL=3, REV=5, WAIT=6, NOP=7, WALK=9, GETDIR=14, STAT=16, SELF=20,
             STATUS=30, ACCESS=99)
ERRORS = {1: 'TAG_IN_USE', 2: 'UNKNOWN_VERB', 3: 'READONLY', 4: 'TOO_LATE', 5: 'REV_MISMATCH',
          6: 'BAD_PATH', 7: 'MISSING_ARG', 8: 'RANGE', 20: 'NOTDIR', 21: 'ISDIR', 22: 'NOENT',
          127: 'OTHER'}
REQUEST_FIELDS = dict(tag=1, verb=2, path=4, value=5, other_tag=6, offset=7, rev=9, mode=20,
                      min_rev=21, client=22, sequence=23)
RESPONSE_FIELDS = {1: 'tag', 2: 'flags', 3: 'rev', 5: 'path', 6: 'value', 8: 'len', 20: 'store_rev',
                   21: 'outcome', 22: 'cluster', 100: 'err_code', 101: 'err_detail'}

ROOMS = {'doozer-load': 'bench', 'doozer-check': 'sim/checkers'}  # where a program is built, unless in cmd
READY_SECONDS = 20
STOP_SECONDS = 20
ANSWER_SECONDS = 15


def program(name):
    """The path of doozerd, doozer or doozer-inspect."""
    variable = name.upper().replace('-', '_') + '_BIN'
    path = os.environ.get(variable) or os.path.join(TOP, 'build', 'release', ROOMS.get(name, 'cmd'),
                                                    name)
    if not os.access(path, os.X_OK):
        missing = '%s is no program; %s names another' % (path, variable)
        # Who names one expects it to be there: a skipped test would look like a good one.
        raise AssertionError(missing) if variable in os.environ else unittest.SkipTest(missing)
    return path


def clean_environment(**more):
    """This process's environment without anything that configures Doozer."""
    out = {k: v for k, v in os.environ.items() if not k.startswith('DOOZER')}
    out.update(more)
    return out


def free_port():
    """A port that nobody uses, below those that the system gives to clients: one of them might sit
    there while a server restarts."""
    while True:
        port = random.randrange(10_000, 30_000)
        with socket.socket() as s:
            try:
                s.bind(('127.0.0.1', port))
                return port
            except OSError:
                continue


# --- the protocol: frames of a 4-byte big-endian length and a protobuf message


def varint(number):
    number &= (1 << 64) - 1
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def encode_request(**fields):
    """Fields by name; None leaves one out. `path` and `value` are bytes or str."""
    out = b''
    for name, number in REQUEST_FIELDS.items():
        value = fields.pop(name, None)
        if value is None:
            continue
        if name == 'verb':
            value = VERBS.get(value, value)
        if isinstance(value, str):
            value = value.encode()
        if isinstance(value, bytes):
            out += varint(number << 3 | 2) + varint(len(value)) + value
        else:
            out += varint(number << 3) + varint(value)
    if fields:
        raise TypeError('no such request fields: %s' % ', '.join(fields))
    return out


def frame(body):
    return struct.pack('>I', len(body)) + body


def decode_response(body):
    out, at = Response(), 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = body[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(body):
        key = number()
        if key & 7 == 0:
            value = number()
            value -= (1 << 64) if value >= 1 << 63 else 0
        elif key & 7 == 2:
            size = number()
            value = bytes(body[at:at + size])
            at += size
        else:
            raise ValueError('response with wire type %d' % (key & 7))
        name = RESPONSE_FIELDS.get(key >> 3, 'field%d' % (key >> 3))
        out[name] = value.decode('utf-8', 'replace') if name in ('path', 'err_detail') else value
    return out


class Response(dict):
    """The fields that came, by name."""

    @property
    def err(self):
        code = self.get('err_code')
        return None if code is None else ERRORS.get(code, str(code))

    @property
    def rev(self):
        return self.get('rev')

    @property
    def value(self):
        return self.get('value')

    @property
    def detail(self):
        return self.get('err_detail', '')


class Closed(Exception):
    """The server closed the connection; `reset` if not in good order."""

    def __init__(self, why, reset=False):
        super().__init__(why)
        self.reset = reset


class Client:
    """One connection. send() gives a tag, wait(tag) its answer, call() does both."""

    def __init__(self, address, timeout=ANSWER_SECONDS, receive_buffer=None, tls=None,
                 tls_name='localhost'):
        host, port = address.rsplit(':', 1)
        self.timeout = timeout
        self.sock = socket.socket()
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(timeout)
        try:
            self.sock.connect((host, int(port)))
        except OSError:
            self.sock.close()
            raise
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:  # an ssl.SSLContext
            try:
                self.sock = tls.wrap_socket(self.sock, server_hostname=tls_name)
            except OSError:
                self.sock.close()
                raise
        self.buffer = bytearray()
        self.at = 0  # what of the buffer is taken
        self.held = {}
        self.next_tag = 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def fileno(self):
        return self.sock.fileno()

    def raw(self, data):
        try:
            self.sock.sendall(data)
        except (ConnectionError, BrokenPipeError) as e:
            raise Closed('while sending: %s' % e, reset=True) from e

    def request(self, verb, **fields):
        """The bytes of a request and its tag, for a caller that sends many at once."""
        if 'tag' not in fields:
            fields['tag'] = self.next_tag
            self.next_tag += 1
        return frame(encode_request(verb=verb, **fields)), fields['tag']

    def send(self, verb, **fields):
        data, tag = self.request(verb, **fields)
        self.raw(data)
        return tag

    def pending_frame(self):
        """The next whole frame in the buffer, or None."""
        have = len(self.buffer) - self.at
        if have < 4:
            return None
        size = struct.unpack_from('>I', self.buffer, self.at)[0]
        if have < 4 + size:
            return None
        body = bytes(self.buffer[self.at + 4:self.at + 4 + size])
        self.at += 4 + size
        if self.at > 1 << 20 or self.at == len(self.buffer):
            del self.buffer[:self.at]
            self.at = 0
        return body

    def receive(self, timeout=None):
        """The next answer, whatever its tag. Raises Closed, TimeoutError."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            body = self.pending_frame()
            if body is not None:
                return decode_response(body)
            left = deadline - time.monotonic()
            if left <= 0 or not select_readable(self.sock, left):
                raise TimeoutError('no answer in time')
            try:
                data = self.sock.recv(1 << 18)
            except ConnectionError as e:
                raise Closed(str(e), reset=True) from e
            if not data:
                raise Closed('the server closed the connection')
            self.buffer += data

    def wait(self, tag, timeout=None):
        while tag not in self.held:
            answer = self.receive(timeout)
            self.held[answer.get('tag')] = answer
        return self.held.pop(tag)

    def call(self, verb, timeout=None, **fields):
        return self.wait(self.send(verb, **fields), timeout)

    # What nearly every test does.
    def get(self, path, **fields):
        return self.call('GET', path=path, **fields)

    def set(self, path, value, rev=-1, **fields):
        return self.call('SET', path=path, value=value, rev=rev, **fields)

    def delete(self, path, rev=-1, **fields):
        return self.call('DEL', path=path, rev=rev, **fields)

    def rev(self):
        return self.call('REV').rev

    def walk(self, glob, **fields):
        """All (path, value, rev) that match, asked a hundred at a time at one revision."""
        rev = fields.pop('rev', None) or self.rev()
        out = []
        while True:
            tags, data = [], b''
            for offset in range(len(out), len(out) + 100):
                request, tag = self.request('WALK', path=glob, offset=offset, rev=rev, **fields)
                data += request
                tags.append(tag)
            self.raw(data)
            for answer in [self.wait(tag) for tag in tags]:
                if answer.err is None:
                    out.append((answer['path'], answer.value, answer.rev))
                elif answer.err != 'RANGE':
                    raise AssertionError('WALK: %r' % answer)
            if answer.err:
                return out

    def events(self, first, last, glob='/**'):
        """Every event from revision `first` to `last`, from the history."""
        out = []
        waiting = collections.deque()
        ask = first
        while ask <= last or waiting:
            data = b''
            while ask <= last and len(waiting) < 500:
                request, tag = self.request('WAIT', path=glob, rev=ask)
                data += request
                waiting.append(tag)
                ask += 1
            if data:
                self.raw(data)
            answer = self.wait(waiting.popleft())
            if answer.err is not None:
                raise AssertionError('WAIT: %r' % answer)
            out.append(answer)
        return out

    def closed_by_server(self, timeout=10):
        """True once the server has ended the connection; what came before is dropped."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if not select_readable(self.sock, deadline - time.monotonic()):
                return False
            try:
                if not self.sock.recv(1 << 18):
                    return True
            except ConnectionError:
                return True
        return False


def select_readable(sock, seconds):
    if getattr(sock, 'pending', int)():
        return True  # TLS has decrypted more than was taken
    poller = select.poll()  # not select(): descriptors go beyond 1,024
    poller.register(sock, select.POLLIN | select.POLLHUP | select.POLLERR)
    return bool(poller.poll(max(0, seconds) * 1000))


# --- servers


class Server:
    """One doozerd. The data directory and the address stay over restarts."""

    def __init__(self, directory, *args, data=None, port=None, host='127.0.0.1', environment=None,
                 open_files=None):
        self.directory = directory
        self.data = data or os.path.join(directory, 'data')
        self.port = port or free_port()
        self.host = host
        self.args = list(args)
        self.environment = environment or {}
        self.open_files = open_files
        self.wrapper = []  # a command that runs it: strace ...
        self.log_path = os.path.join(directory, 'doozerd.log')
        self.process = None
        self.program = 'doozerd'

    @property
    def address(self):
        host = '127.0.0.1' if self.host == '0.0.0.0' else self.host
        return '%s:%d' % (host, self.port)

    def command(self, *more):
        return [*self.wrapper, program(self.program), '--listen', '%s:%d' % (self.host, self.port),
                '--data-dir', self.data, '--log-format', 'json', *self.args, *more]

    def spawn(self, *more):
        """Starts it and does not wait."""
        assert self.process is None or self.process.poll() is not None, 'it is running'

        def limit():
            _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            soft = min(self.open_files or hard, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, soft if self.open_files else hard))

        with open(self.log_path, 'ab') as log:
            self.process = subprocess.Popen(self.command(*more), stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, preexec_fn=limit,
                                            env=clean_environment(**self.environment))
        return self

    def start(self, *more):
        self.spawn(*more)
        self.wait_ready()
        return self

    def wait_ready(self):
        deadline = time.monotonic() + READY_SECONDS
        while True:
            if self.process.poll() is not None:
                raise AssertionError('doozerd ended with %s:\n%s' % (self.process.returncode,
                                                                     self.log()))
            try:
                with Client(self.address, timeout=2) as c:
                    c.call('REV')
                    return
            except (OSError, Closed):
                if time.monotonic() > deadline:
                    raise AssertionError('doozerd does not answer:\n%s' % self.log())
                time.sleep(0.01)

    def client(self, **options):
        return Client(self.address, **options)

    @property
    def pid(self):
        return self.process.pid

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self, timeout=STOP_SECONDS):
        """SIGTERM; gives the exit code."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def kill9(self):
        self.process.kill()
        self.process.wait()

    def restart(self):
        self.stop()
        return self.start()

    def running(self):
        return self.process is not None and self.process.poll() is None

    def log(self):
        with open(self.log_path, encoding='utf-8', errors='replace') as f:
            return f.read()

    def log_has(self, pattern, timeout=5):
        """Waits until the log has a line that matches."""
        deadline = time.monotonic() + timeout
        while True:
            for line in self.log().splitlines():
                if re.search(pattern, line):
                    return line
            if time.monotonic() > deadline:
                return None
            time.sleep(0.05)

    def log_end(self):
        """Where the log ends now: a place for events()."""
        return os.path.getsize(self.log_path)

    def events(self, event=None, after=0):
        """The log's records from that place on; lines that are none are left out."""
        out = []
        with open(self.log_path, 'rb') as f:
            f.seek(after)
            text = f.read().decode(errors='replace')
        for line in text.splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict) and event in (None, record.get('event')):
                out.append(record)
        return out

    def memory_bytes(self, kind):
        """A figure of /proc/PID/status: VmRSS, VmSize ..."""
        with open('/proc/%d/status' % self.pid) as f:
            return int(re.search(r'%s:\s*(\d+) kB' % kind, f.read()).group(1)) * 1024

    def rss_bytes(self):
        return self.memory_bytes('VmRSS')

    def cpu_seconds(self):
        with open('/proc/%d/stat' % self.pid) as f:
            fields = f.read().rsplit(')', 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


class SystemTest(unittest.TestCase):
    """Gives servers and a directory, and takes them away again; a failure shows the log."""

    maxDiff = 4000

    def setUp(self):
        program('doozerd')
        self.directory = tempfile.mkdtemp(prefix='doozer-system-')
        self.servers = []
        self.addCleanup(self.clean_up)

    def clean_up(self):
        failed = any(error for _, error in getattr(self._outcome, 'errors', []) or [])
        result = getattr(self._outcome, 'result', None)
        if result is not None:
            failed = failed or any(test is self for test, _ in result.failures + result.errors)
        for server in self.servers:
            if server.running():
                server.kill9()
            if failed and os.path.exists(server.log_path):
                print('--- the log of the server of %s ends with' % self.id(), file=sys.stderr)
                print('\n'.join(server.log().splitlines()[-40:]), file=sys.stderr)
        shutil.rmtree(self.directory, ignore_errors=True)

    def server(self, *args, **options):
        """A server with a directory of its own, not started."""
        directory = os.path.join(self.directory, 's%d' % len(self.servers))
        os.makedirs(directory)
        server = Server(directory, *args, **options)
        self.servers.append(server)
        return server

    def run_doozerd(self, *args, timeout=30, **environment):
        """Runs doozerd to its end; gives the completed process with text output."""
        return subprocess.run([program('doozerd'), *args], capture_output=True, text=True,
                              timeout=timeout, cwd=self.directory, stdin=subprocess.DEVNULL,
                              env=clean_environment(**environment))

    def run_doozer(self, *args, stdin='', timeout=30, **environment):
        """Runs the command line client to its end."""
        return subprocess.run([program('doozer'), *args], capture_output=True, text=True,
                              timeout=timeout, cwd=self.directory, input=stdin,
                              env=clean_environment(**environment))

    def ok(self, answer):
        self.assertIsNone(answer.err, answer)
        return answer


def main():
    unittest.main(verbosity=2)
