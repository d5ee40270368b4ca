# The command line `doozer`: included by cmd/CMakeLists.txt.
doozer_room(cli EXCEPTIONS
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/doozer_archive.cc ${CMAKE_CURRENT_LIST_DIR}/doozer_args.cc
          ${CMAKE_CURRENT_LIST_DIR}/doozer_completion.cc ${CMAKE_CURRENT_LIST_DIR}/doozer_errors.cc
          ${CMAKE_CURRENT_LIST_DIR}/doozer_format.cc ${CMAKE_CURRENT_LIST_DIR}/doozer_help.cc
          ${CMAKE_CURRENT_LIST_DIR}/doozer_json.cc ${CMAKE_CURRENT_LIST_DIR}/doozer_man.cc
          ${CMAKE_CURRENT_LIST_DIR}/doozer_table.cc
  DEPS base)
find_package(nlohmann_json REQUIRED)
target_link_libraries(doozer_cli PRIVATE nlohmann_json::nlohmann_json)
