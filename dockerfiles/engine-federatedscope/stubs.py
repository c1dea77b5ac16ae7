"""Regenerate FederatedScope's gRPC stubs for the protobuf of the image. Usage: stubs.py SITE

protobuf 4 and newer, the fast ones, refuse the stubs that FederatedScope ships. The messages stay the same: they are
read from its .proto if the installed package has one (a wheel leaves it out), else from the compiled form of that file
in the shipped stub.
"""

import ast
import subprocess
import sys
import tempfile
from pathlib import Path

from google.protobuf import descriptor_pb2

NAME = "federatedscope/core/proto/gRPC_comm_manager"


def read_shipped_descriptor(stub: Path) -> descriptor_pb2.FileDescriptorProto:
    """Return the compiled .proto that the generated module contains; the module is read, not run."""
    for node in ast.walk(ast.parse(stub.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, bytes):
            found = descriptor_pb2.FileDescriptorProto()
            try:
                found.ParseFromString(node.value)
            except ValueError:  # protobuf's DecodeError is one
                continue
            if found.name and found.service:
                found.name = f"{NAME}.proto"
                return found
    sys.exit(f"{stub}: has no description of FederatedScope's messages; this FederatedScope is not supported")


def generate(site: Path) -> None:
    """Replace the two stub modules under ``site``."""
    command = [sys.executable, "-m", "grpc_tools.protoc", f"--python_out={site}", f"--grpc_python_out={site}"]
    with tempfile.TemporaryDirectory() as folder:
        if (site / f"{NAME}.proto").is_file():
            command.append(f"--proto_path={site}")
        elif (site / f"{NAME}_pb2.py").is_file():
            compiled = descriptor_pb2.FileDescriptorSet(file=[read_shipped_descriptor(site / f"{NAME}_pb2.py")])
            described = Path(folder) / "messages.pb"
            described.write_bytes(compiled.SerializeToString())
            command.append(f"--descriptor_set_in={described}")
        else:
            sys.exit(f"the installed FederatedScope has neither {NAME}.proto nor {NAME}_pb2.py")
        subprocess.run([*command, f"{NAME}.proto"], check=True)


if __name__ == "__main__":
    generate(Path(sys.argv[1]))
