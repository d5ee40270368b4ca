#include "io/notify.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "io/fd.h"

namespace doozer::io {

Notifier Notifier::from_environment() {
  const char* const socket = std::getenv("NOTIFY_SOCKET");
  return Notifier(socket == nullptr ? "" : socket);
}

void Notifier::ready(std::string_view status) const { send("READY=1", status); }

void Notifier::stopping(std::string_view status) const { send("STOPPING=1", status); }

void Notifier::status(std::string_view status) const { send({}, status); }

// A manager that does not listen is no reason to fail, so every error ends here.
void Notifier::send(std::string_view state, std::string_view status) const {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_.size() < 2 || socket_.size() >= sizeof address.sun_path) return;
  if (socket_[0] != '/' && socket_[0] != '@') return;
  std::memcpy(address.sun_path, socket_.data(), socket_.size());
  if (socket_[0] == '@') address.sun_path[0] = '\0';
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket_.size());

  std::string text(state);
  if (!status.empty()) {
    if (!text.empty()) text += '\n';
    text += "STATUS=";
    text += status;
    // A line break would begin another assignment.
    std::replace(text.end() - static_cast<std::ptrdiff_t>(status.size()), text.end(), '\n', ' ');
  }
  const UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return;
  [[maybe_unused]] const ssize_t sent =
      ::sendto(fd.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
               reinterpret_cast<const sockaddr*>(&address), size);
}

}  // namespace doozer::io
