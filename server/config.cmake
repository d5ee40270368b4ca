# Configuration: included by server/CMakeLists.txt.
doozer_room(server_config
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/config.cc ${CMAKE_CURRENT_LIST_DIR}/config_file.cc
          ${CMAKE_CURRENT_LIST_DIR}/config_rules.cc ${CMAKE_CURRENT_LIST_DIR}/config_values.cc
          ${CMAKE_CURRENT_LIST_DIR}/options_table.cc
  DEPS base)
doozer_tests(server_config SOURCES ${CMAKE_CURRENT_LIST_DIR}/config_test.cc DEPS server_config)
