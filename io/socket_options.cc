#include "io/socket_options.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace doozer::io {
namespace {

void set(int fd, int level, int option, int value) {
  // A socket that lacks an option still works.
  static_cast<void>(::setsockopt(fd, level, option, &value, sizeof value));
}

}  // namespace

void set_stream_options(int fd) {
  constexpr int kKeepIdleSeconds = 60;
  constexpr int kKeepIntervalSeconds = 15;
  constexpr int kKeepCount = 4;
  set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set(fd, IPPROTO_TCP, TCP_KEEPIDLE, kKeepIdleSeconds);
  set(fd, IPPROTO_TCP, TCP_KEEPINTVL, kKeepIntervalSeconds);
  set(fd, IPPROTO_TCP, TCP_KEEPCNT, kKeepCount);
}

}  // namespace doozer::io
