"""What Schemathesis is told beyond the description: how bytes of tus are sent. Loaded by its command line."""

import schemathesis

schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")
