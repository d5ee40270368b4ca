# The command line `doozer`: included by cmd/CMakeLists.txt.
doozer_room(cli EXCEPTIONS
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/doozer_archive.cc ${CMAKE_CURRENT_LIST_DIR}/doozer_args.cc
          ${CMAKE_CURRENT_LIST_DIR}/doozer_completion.cc ${CMAKE_CURRENT_LIST_DIR}/doozer_errors.cc
          ${CMAKE_CURRENT_LIST_DIR}/doozer_format.cc ${CMAKE_CURRENT_LIST_DIR}/doozer_help.cc
          ${CMAKE_CURRENT_LIST_DIR}/doozer_json.cc ${CMAKE_CURRENT_LIST_DIR}/doozer_man.cc
          ${CMAKE_CURRENT_LIST_DIR}/doozer_status.cc ${CMAKE_CURRENT_LIST_DIR}/doozer_table.cc
  DEPS base)
find_package(nlohmann_json REQUIRED)
target_link_libraries(doozer_cli PRIVATE nlohmann_json::nlohmann_json)
doozer_tests(cli
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/doozer_archive_test.cc
          ${CMAKE_CURRENT_LIST_DIR}/doozer_args_test.cc
          ${CMAKE_CURRENT_LIST_DIR}/doozer_format_test.cc
          ${CMAKE_CURRENT_LIST_DIR}/doozer_status_test.cc
          ${CMAKE_CURRENT_LIST_DIR}/doozer_texts_test.cc
  DEPS cli client)
doozer_tests(cli_output SOURCES ${CMAKE_CURRENT_LIST_DIR}/doozer_output_test.cc
  DEPS cli_commands cli facade client)
if(TARGET cli_test)
  target_compile_definitions(cli_test PRIVATE DOOZER_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
endif()

# What talks to a server: needs the blocking client.
doozer_room(cli_commands EXCEPTIONS
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/doozer_commands.cc ${CMAKE_CURRENT_LIST_DIR}/doozer_import.cc
          ${CMAKE_CURRENT_LIST_DIR}/doozer_output.cc ${CMAKE_CURRENT_LIST_DIR}/doozer_process.cc
          ${CMAKE_CURRENT_LIST_DIR}/doozer_status_command.cc
          ${CMAKE_CURRENT_LIST_DIR}/doozer_tree.cc
          ${CMAKE_CURRENT_LIST_DIR}/doozer_watch.cc
  DEPS cli)
if(TARGET doozer_facade)
  add_executable(doozer ${CMAKE_CURRENT_LIST_DIR}/doozer.cc)
  target_link_libraries(doozer PRIVATE doozer_cli_commands doozer_cli doozer_facade)
  target_compile_definitions(doozer PRIVATE DOOZER_VERSION="${PROJECT_VERSION}")
endif()
