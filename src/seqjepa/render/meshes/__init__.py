"""Any collection of textured meshes as pictures in the scene of 3DIEBench (methods.md 3.1).

collection.py lists the meshes and their classes, catalogue.py reads a catalogue's names for them,
load.py reads one mesh, mesh.py holds its triangles, texture.py its colours, picture.py draws it,
and workers.py draws many in several processes. `seqjepa.store.export_meshes` turns a whole
collection into files.

Each format has a file that makes parts of it: wavefront.py (OBJ) with materials.py, ply.py with
ply_elements.py, gltf.py with gltf_file.py and gltf_materials.py, off.py and stl.py. resolver.py
finds the files that a mesh names, polygons.py makes triangles, and colours.py brings colours to one
scale.
"""
