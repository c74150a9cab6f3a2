def add_new(c): c.add_parser("new")
