"""What the demo and the integration tests stand on: a private Postfix, the post365 daemons, and a
stand-in for smtp.office365.com, all below one directory and gone when the work is done.

    workplace   the directory, and the promise that nothing is left running
    processes   a process that we started, told apart from any other by pid and start time
    postfix     a Postfix of our own: configuration, queue, log, ports
    sasl        logins for its submission port
    programs    post365-milter and post365-policyd
    relay       all of it put together: a relayhost with or without post365
    office365   the stand-in (the program itself is tests/office365/)
    message     mails to send, and what became of their bytes
    client      an SMTP client that behaves as applications should
    maillog     Postfix's log, as records
"""
