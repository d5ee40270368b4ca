if(TARGET doozer_inspect)
  doozer_room(doozerd_recover EXCEPTIONS
    SOURCES ${CMAKE_CURRENT_LIST_DIR}/doozerd_recover.cc
    DEPS inspect storage core raft env base)
  if(EXISTS ${PROJECT_SOURCE_DIR}/sim/disk.cc)
    doozer_tests(doozerd_recover SOURCES ${CMAKE_CURRENT_LIST_DIR}/doozerd_recover_test.cc
      DEPS doozerd_recover inspect sim storage core raft env base)
  endif()
endif()
if(TARGET doozer_client AND TARGET doozer_server)
  doozer_room(doozerd_names EXCEPTIONS
    SOURCES ${CMAKE_CURRENT_LIST_DIR}/doozerd_names.cc
    DEPS client server env base)
  if(EXISTS ${PROJECT_SOURCE_DIR}/sim/server_process.cc)
    doozer_tests(doozerd_names SOURCES ${CMAKE_CURRENT_LIST_DIR}/doozerd_names_test.cc
      DEPS doozerd_names sim_server sim server client env base)
  endif()
endif()
if(TARGET doozer_io AND TARGET doozer_door AND TARGET doozer_doozerd_recover
   AND TARGET doozer_doozerd_names)
  add_executable(doozerd ${CMAKE_CURRENT_LIST_DIR}/doozerd.cc)
  target_link_libraries(doozerd PRIVATE doozer_doozerd_flags doozer_doozerd_names
    doozer_doozerd_recover doozer_server doozer_io)
  target_compile_definitions(doozerd PRIVATE DOOZER_VERSION="${PROJECT_VERSION}")
endif()
