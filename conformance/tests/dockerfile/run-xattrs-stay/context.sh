echo f > f
python3 - <<'E'
import os
os.setxattr("f", "user.note", b"read me")
os.setxattr("f", "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))
E
