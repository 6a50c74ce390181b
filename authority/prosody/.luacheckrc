std = "lua54"
globals = { "module", "prosody" }
max_line_length = 110
