"""How fast it is: each file measures one part, and says what exactly it measured."""
