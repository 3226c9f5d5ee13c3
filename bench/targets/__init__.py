"""What a benchmark can be pointed at: the CPU, a Raspberry Pi, accelerators."""
