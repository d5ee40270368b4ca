// Tells the service manager how we are (sd_notify(3)): a datagram to the socket that it names in
// NOTIFY_SOCKET. Without that variable, or when nobody listens there, nothing happens.
#pragma once

#include <string>
#include <string_view>

namespace doozer::io {

class Notifier {
 public:
  /// The socket named by NOTIFY_SOCKET; none if that is not set.
  static Notifier from_environment();
  /// A path, or an abstract name with '@' in front; empty: none.
  explicit Notifier(std::string socket) : socket_(std::move(socket)) {}
  /// Serving. `status` is shown by `systemctl status`; empty: none.
  void ready(std::string_view status = {}) const;
  void stopping(std::string_view status = {}) const;
  void status(std::string_view status) const;

 private:
  void send(std::string_view state, std::string_view status) const;
  std::string socket_;
};

}  // namespace doozer::io
