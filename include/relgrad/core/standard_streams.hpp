#pragma once
/// Descriptors 0, 1 and 2 are standard input, output and error, and what is printed arrives.
namespace relgrad {

/// First thing in main: opens /dev/null where one of the three is closed, so that no file of ours
/// gets its number and then a line of the log; a reader that is gone and a file past `ulimit -f`
/// make a write fail instead of ending the program (SIGPIPE, SIGXFSZ).
void secure_standard_streams();

/// Last thing of a command: hands on what is printed. @throws DiskError if it cannot be written.
void flush_standard_output();

}  // namespace relgrad
