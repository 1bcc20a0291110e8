# One static library per folder of src/, and one test program per file of test/unit/<folder>/.
# Which folder may use which is read from cmake/layers.txt and from nowhere else.

set(SEALMQ_LAYERS_FILE ${CMAKE_CURRENT_LIST_DIR}/layers.txt)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${SEALMQ_LAYERS_FILE})

# sealmq_read_layers()
#
# Sets SEALMQ_MODULES (from the bottom upwards), SEALMQ_PURE_MODULES and SEALMQ_USES_<module>.
macro(sealmq_read_layers)
  set(SEALMQ_MODULES "")
  set(SEALMQ_PURE_MODULES "")
  file(STRINGS ${SEALMQ_LAYERS_FILE} layer_lines REGEX "^[a-z]+ +(pure|io)( |$)")
  foreach(line ${layer_lines})
    string(REGEX MATCH "^([a-z]+) +(pure|io) *(.*)$" matched "${line}")
    set(layer_name ${CMAKE_MATCH_1})
    set(layer_kind ${CMAKE_MATCH_2})
    separate_arguments(layer_uses UNIX_COMMAND "${CMAKE_MATCH_3}")
    foreach(used ${layer_uses})
      if(NOT used IN_LIST SEALMQ_MODULES)
        message(FATAL_ERROR "cmake/layers.txt: ${layer_name} uses ${used}, which is not below it")
      endif()
    endforeach()
    list(APPEND SEALMQ_MODULES ${layer_name})
    if(layer_kind STREQUAL "pure")
      list(APPEND SEALMQ_PURE_MODULES ${layer_name})
    endif()
    set(SEALMQ_USES_${layer_name} ${layer_uses})
  endforeach()
endmacro()

# Sets <result> to the folders that <name> uses and that have no sources yet.
function(sealmq_missing_layers name result)
  set(missing "")
  foreach(used ${SEALMQ_USES_${name}})
    if(NOT TARGET sealmq_${used})
      list(APPEND missing ${used})
    endif()
  endforeach()
  set(${result} "${missing}" PARENT_SCOPE)
endfunction()

# The unit tests of one folder. A test program links its own module and what that module uses, and
# nothing else, so that a wrong dependency does not link. Files of test/unit/<name>/ that are not
# called test_* are fixtures, compiled into every test of that folder. In tests that are called
# test_*_memory.c memory can be made to run out: see test/lib/failing_memory.h.
function(sealmq_unit_tests name)
  file(GLOB tests CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/test/unit/${name}/test_*.c)
  file(GLOB fixtures CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/test/unit/${name}/*.c)
  if(NOT SEALMQ_BUILD_TESTS OR NOT tests)
    return()
  endif()
  list(REMOVE_ITEM fixtures ${tests})
  foreach(test ${tests})
    get_filename_component(stem ${test} NAME_WE)
    string(REPLACE "test_" "test_${name}_" target ${stem})
    add_executable(${target} ${test} ${fixtures})
    target_link_libraries(${target} PRIVATE sealmq_${name} ${SEALMQ_CMOCKA})
    target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/test)
    if(stem MATCHES "_memory$")
      target_sources(${target} PRIVATE ${PROJECT_SOURCE_DIR}/test/lib/failing_memory.c)
      target_link_options(${target} PRIVATE
        LINKER:--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=reallocarray)
    endif()
    target_compile_definitions(${target} PRIVATE
      TEST_VECTORS="${PROJECT_SOURCE_DIR}/test/vectors" TEST_SOURCE="${PROJECT_SOURCE_DIR}/test")
    add_test(NAME unit/${name}/${stem} COMMAND ${target})
    set_tests_properties(unit/${name}/${stem} PROPERTIES TIMEOUT 300 LABELS unit)
  endforeach()
endfunction()

# sealmq_module(<name> [LIBS <imported target>...])
#
# Makes the archive sealmq_<name> from the C files of the current folder, and the programs
# test_<name>_<file> from test/unit/<name>/test_<file>.c. A folder without sources is skipped, and
# so is one that uses a skipped folder.
function(sealmq_module name)
  cmake_parse_arguments(M "" "" "LIBS" ${ARGN})
  if(M_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "sealmq_module(${name} ${M_UNPARSED_ARGUMENTS}): only LIBS is taken here; "
                        "what a folder uses is written in cmake/layers.txt")
  endif()
  if(NOT name IN_LIST SEALMQ_MODULES)
    message(FATAL_ERROR "src/${name} has no line in cmake/layers.txt")
  endif()
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.c)
  if(NOT sources)
    message(STATUS "src/${name}: no sources yet, skipped")
    return()
  endif()
  sealmq_missing_layers(${name} missing)
  if(missing)
    message(STATUS "src/${name}: skipped, it uses ${missing}")
    return()
  endif()

  add_library(sealmq_${name} STATIC ${sources})
  # From the top of what it uses downwards, the order in which a linker wants archives.
  set(uses ${SEALMQ_USES_${name}})
  list(REVERSE uses)
  foreach(used ${uses})
    target_link_libraries(sealmq_${name} PUBLIC sealmq_${used})
  endforeach()
  target_link_libraries(sealmq_${name} PUBLIC ${M_LIBS})
  sealmq_unit_tests(${name})
endfunction()

# sealmq_program(<target> <folder> [LIBS <imported target>...])
#
# The same for a program made from the C files of src/<folder>.
function(sealmq_program target folder)
  cmake_parse_arguments(M "" "" "LIBS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.c)
  if(NOT sources)
    message(STATUS "src/${folder}: no sources yet, skipped")
    return()
  endif()
  sealmq_missing_layers(${folder} missing)
  if(missing)
    message(STATUS "src/${folder}: skipped, it uses ${missing}")
    return()
  endif()
  add_executable(${target} ${sources})
  set(uses ${SEALMQ_USES_${folder}})
  list(REVERSE uses)
  foreach(used ${uses})
    target_link_libraries(${target} PRIVATE sealmq_${used})
  endforeach()
  target_link_libraries(${target} PRIVATE ${M_LIBS})
endfunction()
