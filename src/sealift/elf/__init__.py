"""What a program or a library needs to start: interpreter, libraries, symbol versions."""
