"""A course: the kernels of neural style transfer, written by the reader and checked.

    course    the exercises in order, and the files that they start with
    base      what an exercise is made of: cases, right results, what known mistakes would have given
    runner    starts a process for the student's file and ends it at the time limit
    worker    that process: runs the functions of the file on the cases
    judge     holds one result against the right one
    report    what was found, for a terminal and as JSON

Each exercise is a file with NAME, TITLE, TEMPLATE, HINTS and `cases()`.
"""
