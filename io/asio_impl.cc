// All of Asio that is not a template, compiled once for the room.
#include <asio/impl/src.hpp>
