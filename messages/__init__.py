"""What travels between servers, and its bytes; imports msgpack and nothing of Kvorum's."""
